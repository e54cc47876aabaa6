import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.json.JsonWriteFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.networknt.schema.JsonSchema;
import com.networknt.schema.JsonSchemaFactory;
import com.networknt.schema.SpecVersion;
import io.cloudevents.CloudEvent;
import io.cloudevents.core.builder.CloudEventBuilder;
import io.cloudevents.core.provider.EventFormatProvider;
import io.cloudevents.jackson.JsonFormat;
import io.cloudevents.kafka.KafkaMessageFactory;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.AuthorizationException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Ask for one authorization and use its answer: {@code AuthorizationClient REQUEST.json [SINCE]}.
 *
 * <p>An example to copy: it needs the jars of pom.xml and the schema of decisions, and nothing else of this project.
 * ../README.md has the rest.
 */
public final class AuthorizationClient {
    private static final String DECIDED = "authorization.decided.v1";
    private static final String DEAD_LETTERED = "authorization.dead_lettered.v1";
    /** A request with one of these is decided all the same: only its link to an earlier request is refused. */
    private static final List<String> ONLY_THE_LINK = List.of("circular_link", "denied_link");
    private static final Map<String, String> MEANING =
        Map.of("A1", "approved", "A2", "approved_in_part", "A3", "refused", "A6", "modified", "C", "cancelled");
    private static final Duration SETTLED = Duration.ofSeconds(1);
    /** JSON is UTF-8, whatever the terminal's encoding. */
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    private static final Map<String, String> ENV = System.getenv();
    /** Control characters are escaped in small letters, as in the text from which a decision's id is computed. */
    private static final JsonMapper JSON =
        JsonMapper.builder().disable(JsonWriteFeature.WRITE_HEX_UPPER_CASE).build();

    /** Why an event is not used, or why there is no answer. It repeats no value, because they are health data. */
    private static final class Refused extends Exception {
        private static final long serialVersionUID = 1;

        Refused(String why) {
            super(why);
        }
    }

    /** The request as a CloudEvent. Its ids follow from its content, so whoever sends it again knows its answer. */
    private static CloudEvent eventFor(JsonNode data) throws Exception {
        if (!data.path("request_id").isTextual()) {
            throw new Refused("the file is not the data of a request: it has no request_id");
        }
        String id = digestOf(data);
        return CloudEventBuilder.v1().withId(id).withSource(URI.create("/claims-platform/example"))
            .withType("authorization.requested.v1").withSubject(data.get("request_id").textValue())
            .withTime(OffsetDateTime.now(ZoneOffset.UTC)).withData("application/json", JSON.writeValueAsBytes(data))
            // Your own id of the matter: every event about it brings it back.
            .withExtension("correlationid", "claim-" + id).build();
    }

    /** The JSON in a file. The parser's own message would repeat a part of it, and a request has health data. */
    private static JsonNode parse(String path) throws Exception {
        String text = Files.readString(Path.of(path));
        try {
            return JSON.readTree(text);
        } catch (JsonProcessingException error) {
            throw new Refused(path + " is no JSON");
        }
    }

    private static String digestOf(JsonNode data) throws Exception {
        byte[] digest = MessageDigest.getInstance("SHA-256").digest(JSON.writeValueAsBytes(data));
        return HexFormat.of().formatHex(digest, 0, 16);
    }

    /** The schema with unknown fields allowed: within a version, fields may be added to events. */
    private static JsonSchema opened(JsonNode schema) {
        ((ObjectNode) schema).remove("$id"); // a file's name; this validator wants an absolute address
        schema.findParents("additionalProperties").forEach(part -> ((ObjectNode) part).remove("additionalProperties"));
        return JsonSchemaFactory.getInstance(SpecVersion.VersionFlag.V202012).getSchema(schema);
    }

    /** The data of an event that is a whole answer to ours. */
    private static JsonNode verified(CloudEvent event, CloudEvent asked, JsonSchema schema) throws Exception {
        if (!List.of(DECIDED, DEAD_LETTERED).contains(event.getType())) {
            throw new Refused("its type is not that of an answer");
        }
        // Another event may have had the same request id.
        if (!asked.getExtension("correlationid").equals(event.getExtension("correlationid"))) {
            throw new Refused("its correlationid is not ours");
        }
        JsonNode data = JSON.readTree(event.getData() == null ? new byte[0] : event.getData().toBytes());
        boolean named = asked.getSubject().equals(data.path("request_id").textValue());
        if (event.getType().equals(DEAD_LETTERED) && named && data.path("reason").isTextual()) {
            return data;
        }
        for (var error : schema.validate(data)) {
            String place = error.getInstanceLocation() + " (" + error.getType() + ")";
            throw new Refused("its data does not fit the schema at " + place);
        }
        if (!named || !asked.getSubject().equals(event.getSubject())) {
            throw new Refused("its request_id is not ours");
        }
        // The id is a digest of the rest, so that a damaged or altered decision shows. It is no signature: who may
        // write to the topic is for Kafka's access control to say.
        String id = data.get("decision_id").textValue();
        if (!id.equals(event.getId()) || !id.equals(digestOf(((ObjectNode) data.deepCopy()).without("decision_id")))) {
            throw new Refused("its decision_id is not the digest of its content");
        }
        return data;
    }

    /**
     * What may be done with a decision. One that is not final refuses nothing, whatever its lines' determinations: an
     * adverse determination is a recommendation to a physician, who alone refuses (A3); until then it is pended.
     */
    private static JsonNode summary(JsonNode decision) {
        boolean isFinal = decision.get("stage").textValue().equals("final");
        String ifFinal = MEANING.getOrDefault(decision.get("action").textValue(), "ask_the_payer");
        ObjectNode said = picked(decision, "request_id", "decision_id", "action", "stage").put("is_final", isFinal);
        said.put("meaning", isFinal ? ifFinal : "pended");
        for (JsonNode line : decision.get("lines")) {
            said.withArray("lines").add(picked(line, "line", "determination", "action"));
        }
        var missing = new TreeSet<>(decision.get("lines").findValuesAsText("fact"));
        said.putArray("missing");
        missing.forEach(fact -> said.withArray("missing").add(fact));
        return said;
    }

    private static ObjectNode picked(JsonNode tree, String... names) {
        ObjectNode found = JSON.createObjectNode();
        Arrays.stream(names).forEach(name -> found.set(name, tree.get(name)));
        return found;
    }

    /** Where to read: at the end of what is there now, or from a moment on. */
    private static void seek(KafkaConsumer<String, byte[]> consumer, List<String> topics, Instant since) {
        List<TopicPartition> places = new ArrayList<>();
        for (String topic : topics) {
            try {
                consumer.partitionsFor(topic).forEach(one -> places.add(new TopicPartition(topic, one.partition())));
            } catch (AuthorizationException error) {
                System.err.println(topic + " may not be read: answers there are not seen");
            }
        }
        consumer.assign(places);
        var starts = new HashMap<>(consumer.endOffsets(places));
        if (since != null) {
            var moments = new HashMap<TopicPartition, Long>();
            places.forEach(one -> moments.put(one, since.toEpochMilli()));
            consumer.offsetsForTimes(moments).forEach((one, found) -> {
                if (found != null) {
                    starts.put(one, found.offset());
                }
            });
        }
        starts.forEach(consumer::seek);
    }

    /** Sends the request, prints what answers it, and returns the exit code. */
    private static int ask(CloudEvent asked, Instant since, JsonSchema schema, Map<String, Object> kafka)
        throws Exception {
        String prefix = ENV.getOrDefault("TOPIC_PREFIX", "");
        Duration patience = Duration.ofSeconds(Long.parseLong(ENV.getOrDefault("TIMEOUT_SECONDS", "30")));
        // Answers are written in transactions: without read_committed, one that is aborted later would be read as well.
        var reading = new HashMap<>(kafka);
        reading.putAll(Map.of("isolation.level", "read_committed", "enable.auto.commit", false));
        // An idempotent producer's retry makes no second record.
        var writing = new HashMap<>(kafka);
        writing.putAll(Map.of("acks", "all", "enable.idempotence", true, "max.block.ms", 20_000));
        try (var consumer = new KafkaConsumer<>(reading, new StringDeserializer(), new ByteArrayDeserializer());
            var producer = new KafkaProducer<>(writing, new StringSerializer(), new ByteArraySerializer())) {
            // Where to read is settled before the request is sent, or a quick answer would be missed.
            seek(consumer, List.of(prefix + "authorization.decisions", prefix + "authorization.dead-letters"), since);
            // The key keeps the records of one request in order.
            var record = new ProducerRecord<>(prefix + "authorization.requests", asked.getSubject(),
                EventFormatProvider.getInstance().resolveFormat(JsonFormat.CONTENT_TYPE).serialize(asked));
            String type = JsonFormat.CONTENT_TYPE + "; charset=UTF-8";
            record.headers().add("content-type", type.getBytes(StandardCharsets.UTF_8));
            producer.send(record).get();

            JsonNode newest = null;
            Instant seen = Instant.MAX;
            for (Instant end = Instant.now().plus(patience); Instant.now().isBefore(end);) {
                for (ConsumerRecord<String, byte[]> one : consumer.poll(Duration.ofMillis(200))) {
                    if (!asked.getSubject().equals(one.key())) {
                        continue;
                    }
                    JsonNode found;
                    CloudEvent event;
                    try {
                        event = KafkaMessageFactory.createReader(one).toEvent(); // in either mode
                        found = verified(event, asked, schema);
                    } catch (Exception why) {
                        String sentence = why instanceof Refused ? why.getMessage() : "it is no CloudEvent with data";
                        System.err.printf(
                            "passed over %s/%d/%d: %s%n", one.topic(), one.partition(), one.offset(), sentence);
                        continue;
                    }
                    String reason = found.path("reason").textValue(); // of a dead letter
                    if (reason != null && ONLY_THE_LINK.contains(reason)) {
                        System.err.println("the link to an earlier request is refused: " + reason);
                    } else if (event.getType().equals(DEAD_LETTERED)) {
                        OUT.println(picked(found, "request_id", "reason", "message", "errors"));
                        return 3;
                    } else if (newest == null || newest.get("decision_id").equals(found.get("supersedes_decision"))) {
                        // A later decision names the one that it replaces; the same one again, or an older one,
                        // changes nothing.
                        newest = found;
                        seen = Instant.now();
                    }
                }
                if (newest != null && seen.plus(SETTLED).isBefore(Instant.now())) {
                    OUT.println(summary(newest));
                    return 0;
                }
            }
            throw new Refused("nothing came within %d s; it may still be decided: ask again with SINCE"
                .formatted(patience.toSeconds()));
        }
    }

    private static Map<String, Object> connection() {
        var kafka = new HashMap<String, Object>();
        kafka.put("bootstrap.servers", ENV.get("KAFKA_BOOTSTRAP_SERVERS"));
        kafka.put("security.protocol", ENV.getOrDefault("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT"));
        kafka.put("default.api.timeout.ms", 20_000);
        kafka.put("request.timeout.ms", 20_000);
        kafka.put("allow.auto.create.topics", false);
        if (ENV.containsKey("KAFKA_SSL_CA")) {
            kafka.putAll(Map.of("ssl.truststore.type", "PEM", "ssl.truststore.location", ENV.get("KAFKA_SSL_CA")));
        }
        if (ENV.containsKey("KAFKA_SASL_MECHANISM")) {
            String mechanism = ENV.get("KAFKA_SASL_MECHANISM");
            String module = mechanism.equals("PLAIN") ? "plain.PlainLoginModule" : "scram.ScramLoginModule";
            kafka.put("sasl.mechanism", mechanism);
            String jaas = "org.apache.kafka.common.security.%s required username=\"%s\" password=\"%s\";";
            kafka.put("sasl.jaas.config",
                jaas.formatted(module, quoted(ENV.get("KAFKA_SASL_USERNAME")), quoted(ENV.get("KAFKA_SASL_PASSWORD"))));
        }
        return kafka;
    }

    /** A value within the quotation marks of a JAAS configuration. */
    private static String quoted(String value) {
        return value == null ? "" : value.replace("\\", "\\\\").replace("\"", "\\\"");
    }

    public static void main(String[] arguments) {
        int code = 1;
        try {
            if (arguments.length < 1 || !ENV.containsKey("KAFKA_BOOTSTRAP_SERVERS")) {
                throw new Refused("usage: KAFKA_BOOTSTRAP_SERVERS=HOST:PORT AuthorizationClient REQUEST.json [SINCE]");
            }
            String published = ENV.getOrDefault("DECISION_SCHEMA", "events/schemas/" + DECIDED + ".json");
            JsonSchema schema = opened(parse(published));
            CloudEvent asked = eventFor(parse(arguments[0]));
            code = ask(asked, arguments.length > 1 ? Instant.parse(arguments[1]) : null, schema, connection());
        } catch (Exception error) {
            System.err.println("no answer: " + error.getMessage());
        }
        System.exit(code);
    }
}
