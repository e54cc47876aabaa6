import java.nio.file.Path;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.Record;

/**
 * The trivial handler of the benchmarks (work.py) in Kafka Streams, exactly once: for each request the same bytes and an
 * entry, under its key and without headers.
 *
 * <p>Arguments are settings of Kafka Streams, NAME=VALUE. The brokers, the topics and the group are those of DLI_*.
 */
public final class StreamsLoop {
    private static final byte[] ENTRY = new byte[40];

    private static final class Trivial extends ContextualProcessor<byte[], byte[], byte[], byte[]> {
        @Override
        public void process(final Record<byte[], byte[]> request) {
            final Record<byte[], byte[]> decision = request.withHeaders(new RecordHeaders());
            context().forward(decision, "decisions");
            context().forward(decision.withValue(ENTRY), "answered");
        }
    }

    private static Topology topology(final String prefix) {
        final ByteArrayDeserializer read = new ByteArrayDeserializer();
        final ByteArraySerializer write = new ByteArraySerializer();
        return new Topology()
            .addSource("requests", read, read, prefix + "authorization.requests")
            .addProcessor("trivial", Trivial::new, "requests")
            .addSink("decisions", prefix + "authorization.decisions", write, write, "trivial")
            .addSink("answered", prefix + "authorization.answered", write, write, "trivial");
    }

    private static Properties settings(final Map<String, String> environment, final String[] arguments) {
        final Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, environment.get("DLI_APP_ID"));
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, environment.get("DLI_BOOTSTRAP"));
        settings.put(StreamsConfig.STATE_DIR_CONFIG, Path.of(environment.get("DLI_DATA_DIR"), "streams").toString());
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        for (final String argument : arguments) {
            final String[] setting = argument.split("=", 2);
            settings.put(setting[0], setting[1]);
        }
        return settings;
    }

    public static void main(final String[] arguments) {
        final Map<String, String> environment = System.getenv();
        final KafkaStreams streams =
            new KafkaStreams(topology(environment.get("DLI_TOPIC_PREFIX")), settings(environment, arguments));
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            Runtime.getRuntime().halt(1); // so that the benchmark sees that it ended
            return StreamThreadExceptionResponse.SHUTDOWN_APPLICATION;
        });
        streams.start(); // its threads run until the process is killed
    }
}
