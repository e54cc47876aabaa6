import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.management.OperatingSystemMXBean;
import java.io.File;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.kie.dmn.api.core.DMNContext;
import org.kie.dmn.api.core.DMNModel;
import org.kie.dmn.api.core.DMNRuntime;
import org.kie.dmn.core.internal.utils.DMNRuntimeBuilder;
import org.kie.internal.io.ResourceFactory;

/**
 * Answers cases by a decision table in DMN. Expressions are interpreted, as by default: compiled ones took no less time.
 *
 * <pre>
 * DroolsTable RULES CASES          the answer to each case, as JSON: determination, reason, rule
 * DroolsTable RULES CASES ROUNDS   microseconds of processor time per case, for each round, as JSON
 * </pre>
 */
public final class DroolsTable {
    private final DMNRuntime runtime;
    private final DMNModel model;

    private DroolsTable(final File rules) {
        runtime = DMNRuntimeBuilder.fromDefaults()
            .buildConfiguration()
            .fromResources(List.of(ResourceFactory.newFileResource(rules)))
            .getOrElseThrow(IllegalArgumentException::new);
        model = runtime.getModels().get(0);
        if (model.hasErrors()) {
            throw new IllegalArgumentException(model.getMessages().toString());
        }
    }

    /** Null if no row applies. */
    private List<Object> answer(final Map<String, Object> asked) {
        final DMNContext context = runtime.newContext();
        asked.forEach(context::set);
        final Object found = runtime.evaluateAll(model, context).getDecisionResultByName("answer").getResult();
        return found instanceof Map<?, ?> row
            ? Arrays.asList(row.get("determination"), row.get("reason"), row.get("rule"))
            : null;
    }

    /** Microseconds that all threads have used, the compiler's and the garbage collector's too. */
    private static double processorTime() {
        return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime() / 1e3;
    }

    private List<Object> answers(final List<Map<String, Object>> cases) {
        final List<Object> answers = new ArrayList<>();
        for (final Map<String, Object> asked : cases) {
            answers.add(answer(asked));
        }
        return answers;
    }

    private List<Object> times(final List<Map<String, Object>> cases, final int rounds) {
        final List<Object> times = new ArrayList<>();
        for (int round = 0; round < rounds; round++) {
            final double before = processorTime();
            for (final Map<String, Object> asked : cases) {
                answer(asked);
            }
            times.add((processorTime() - before) / cases.size());
        }
        return times;
    }

    @SuppressWarnings("unchecked") // what Jackson makes of an array of objects
    public static void main(final String[] arguments) throws IOException {
        final ObjectMapper json = new ObjectMapper();
        final List<Map<String, Object>> cases = json.readValue(new File(arguments[1]), List.class);
        final DroolsTable table = new DroolsTable(new File(arguments[0]));
        json.writeValue(
            System.out,
            arguments.length < 3 ? table.answers(cases) : table.times(cases, Integer.parseInt(arguments[2])));
    }
}
