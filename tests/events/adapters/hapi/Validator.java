import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.ConceptValidationOptions;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.context.support.IValidationSupport;
import ca.uhn.fhir.context.support.LookupCodeRequest;
import ca.uhn.fhir.context.support.ValidationSupportContext;
import ca.uhn.fhir.validation.FhirValidator;
import ca.uhn.fhir.validation.ResultSeverityEnum;
import ca.uhn.fhir.validation.SingleValidationMessage;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.hl7.fhir.common.hapi.validation.support.BaseValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.CommonCodeSystemsTerminologyService;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.PrePopulatedValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.SnapshotGeneratingValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;
import org.hl7.fhir.instance.model.api.IBaseResource;
import org.hl7.fhir.r4.model.CanonicalType;
import org.hl7.fhir.r4.model.ValueSet;
import org.hl7.fhir.utilities.npm.NpmPackage;

/**
 * HAPI FHIR's validator for R4 with an implementation guide: Validator PACKAGE.tgz [FILE...].
 *
 * <p>Validates the resources in the files, or without files those on standard input, one in a line. Prints for each, in
 * order, one object: {"errors": [{"location": ..., "message": ...}]}. Warnings are left out.
 */
public final class Validator {
    /** Code systems, by how their URLs begin, that no test can have, each with why. Any code of theirs is taken. */
    private static final Map<String, String> UNAVAILABLE_SYSTEMS = Map.of(
        "https://codesystem.x12.org/", "X12 licenses its lists",
        "http://www.ama-assn.org/go/cpt", "the AMA licenses CPT",
        "https://www.nubc.org/CodeSystem/", "the AHA licenses the NUBC's lists",
        "http://loinc.org", "LOINC is given to its registered users only",
        "http://www.cms.gov/Medicare/Coding/", "CMS gives HCPCS and ICD-10-PCS as tables, not as FHIR",
        "http://hl7.org/fhir/sid/icd-", "CMS gives ICD-9-CM and ICD-10-CM as tables, not as FHIR",
        "http://terminology.hl7.org/CodeSystem/icd9cm", "likewise; HL7 has only its name");

    /** Value sets, likewise, that the guide's package names and does not have. Any code is taken as one of theirs. */
    private static final Map<String, String> UNAVAILABLE_VALUE_SETS = Map.of(
        "https://valueset.x12.org/", "X12 licenses its lists",
        "http://loinc.org/vs/", "LOINC gives its value sets to its registered users only");

    private static boolean isUnavailable(final Map<String, String> table, final String url) {
        return url != null && table.keySet().stream().anyMatch(url::startsWith);
    }

    /** Takes what is unavailable, and nothing else: of a value set that is there, only the systems that it includes. */
    private static final class Unavailable extends BaseValidationSupport {
        private final IValidationSupport valueSets;

        Unavailable(final FhirContext context, final IValidationSupport valueSets) {
            super(context);
            this.valueSets = valueSets;
        }

        @Override
        public boolean isCodeSystemSupported(final ValidationSupportContext root, final String system) {
            return isUnavailable(UNAVAILABLE_SYSTEMS, system);
        }

        @Override
        public boolean isValueSetSupported(final ValidationSupportContext root, final String url) {
            return isUnavailable(UNAVAILABLE_VALUE_SETS, url) || includesUnavailable(find(url));
        }

        @Override
        public LookupCodeResult lookupCode(final ValidationSupportContext root, final LookupCodeRequest request) {
            if (!isUnavailable(UNAVAILABLE_SYSTEMS, request.getSystem())) {
                return null;
            }
            return new LookupCodeResult()
                .setSearchedForSystem(request.getSystem())
                .setSearchedForCode(request.getCode())
                .setFound(true);
        }

        @Override
        public CodeValidationResult validateCode(
            final ValidationSupportContext root,
            final ConceptValidationOptions options,
            final String system,
            final String code,
            final String display,
            final String valueSet) {
            if (isUnavailable(UNAVAILABLE_VALUE_SETS, valueSet)) {
                return taken(code);
            }
            final boolean isTaken = isUnavailable(UNAVAILABLE_SYSTEMS, system)
                && (valueSet == null || includes(find(valueSet), system, code));
            return isTaken ? taken(code) : null;
        }

        @Override
        public CodeValidationResult validateCodeInValueSet(
            final ValidationSupportContext root,
            final ConceptValidationOptions options,
            final String system,
            final String code,
            final String display,
            final IBaseResource valueSet) {
            final ValueSet found = (ValueSet) valueSet;
            if (isUnavailable(UNAVAILABLE_VALUE_SETS, found.getUrl())) {
                return taken(code);
            }
            return isUnavailable(UNAVAILABLE_SYSTEMS, system) && includes(found, system, code) ? taken(code) : null;
        }

        private CodeValidationResult taken(final String code) {
            return new CodeValidationResult().setCode(code);
        }

        private ValueSet find(final String url) {
            return url == null ? null : (ValueSet) valueSets.fetchValueSet(url);
        }

        private boolean includesUnavailable(final ValueSet valueSet) {
            return valueSet != null && valueSet.getCompose().getInclude().stream()
                .anyMatch(one -> isUnavailable(UNAVAILABLE_SYSTEMS, one.getSystem()));
        }

        private boolean includes(final ValueSet valueSet, final String system, final String code) {
            return valueSet != null
                && valueSet.getCompose().getInclude().stream().anyMatch(one -> includes(one, system, code));
        }

        private boolean includes(final ValueSet.ConceptSetComponent part, final String system, final String code) {
            if (part.hasSystem()) {
                final boolean isListed = !part.hasConcept()
                    || part.getConcept().stream().anyMatch(one -> one.getCode().equals(code));
                return part.getSystem().equals(system) && isListed;
            }
            return part.getValueSet().stream()
                .map(CanonicalType::getValue)
                .anyMatch(url -> isUnavailable(UNAVAILABLE_VALUE_SETS, url) || includes(find(url), system, code));
        }
    }

    private static PrePopulatedValidationSupport guide(final FhirContext context, final Path file) throws IOException {
        final PrePopulatedValidationSupport guide = new PrePopulatedValidationSupport(context);
        try (InputStream stream = Files.newInputStream(file)) {
            final NpmPackage found = NpmPackage.fromPackage(stream);
            for (final String name : found.listResources("StructureDefinition", "CodeSystem", "ValueSet")) {
                guide.addResource(context.newJsonParser().parseResource(found.load("package", name)));
            }
        }
        return guide;
    }

    private static FhirValidator validator(final Path file) throws IOException {
        final FhirContext context = FhirContext.forR4();
        final IValidationSupport guide = guide(context, file);
        final IValidationSupport standard = new DefaultProfileValidationSupport(context);
        final FhirInstanceValidator module = new FhirInstanceValidator(new ValidationSupportChain(
            guide,
            standard,
            new Unavailable(context, new ValidationSupportChain(guide, standard)),
            new CommonCodeSystemsTerminologyService(context),
            new InMemoryTerminologyServerValidationSupport(context),
            new SnapshotGeneratingValidationSupport(context)));
        module.setAnyExtensionsAllowed(true);
        return context.newValidator().registerValidatorModule(module);
    }

    private static List<Map<String, String>> errors(final FhirValidator validator, final String resource) {
        final List<Map<String, String>> found = new ArrayList<>();
        for (final SingleValidationMessage one : validator.validateWithResult(resource).getMessages()) {
            if (one.getSeverity().compareTo(ResultSeverityEnum.ERROR) >= 0) {
                final String location = String.valueOf(one.getLocationString());
                found.add(Map.of("location", location, "message", String.valueOf(one.getMessage())));
            }
        }
        return found;
    }

    private static List<String> resources(final String[] arguments) throws IOException {
        if (arguments.length == 1) {
            return new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8)).lines().toList();
        }
        final List<String> found = new ArrayList<>();
        for (int index = 1; index < arguments.length; index++) {
            found.add(Files.readString(Path.of(arguments[index])));
        }
        return found;
    }

    public static void main(final String[] arguments) throws IOException {
        final PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        System.setOut(System.err); // what libraries print is no result
        final FhirValidator validator = validator(Path.of(arguments[0]));
        final ObjectMapper json = new ObjectMapper();
        resources(arguments).parallelStream()
            .map(resource -> json.valueToTree(Map.of("errors", errors(validator, resource))))
            .forEachOrdered(out::println);
    }
}
