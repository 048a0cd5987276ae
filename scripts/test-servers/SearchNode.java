// One node of OpenSearch for tests, from its libraries: a distribution is in no package registry. The script makes the
// one for Elasticsearch of it, by putting that name in the place of the package's.
//
// Arguments: plugins=CLASS,CLASS… and settings of the node, NAME=VALUE each.

import java.lang.reflect.Constructor;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

import org.opensearch.Version;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.ingest.DropProcessor;
import org.opensearch.ingest.Processor;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.plugins.IngestPlugin;
import org.opensearch.plugins.Plugin;

public final class SearchNode extends Node {
    // What the collection must hold is another thing from OpenSearch 3 on.
    @SuppressWarnings({"unchecked", "rawtypes"})
    private SearchNode(Environment environment, Collection plugins) {
        super(environment, plugins, false);
    }

    // The processor of ingest pipelines that drops documents: the node has it, the module that names it is not among the
    // libraries.
    public static final class Drop extends Plugin implements IngestPlugin {
        @Override
        public Map<String, Processor.Factory> getProcessors(Processor.Parameters parameters) {
            return Map.of(DropProcessor.TYPE, new DropProcessor.Factory());
        }
    }

    // A plugin as a node wants it: its class, or from OpenSearch 3 on a description.
    private static Object plugin(Class<?> type) throws ReflectiveOperationException {
        for (Constructor<?> constructor : Node.class.getDeclaredConstructors()) {
            for (Type parameter : constructor.getGenericParameterTypes()) {
                if (parameter instanceof ParameterizedType collection
                        && collection.getActualTypeArguments()[0] instanceof Class<?> description) {
                    String name = type.getName();
                    return description
                            .getConstructor(String.class, String.class, String.class, Version.class, String.class,
                                    String.class, String.class, List.class, boolean.class)
                            .newInstance(name, name, "", Version.CURRENT, "", name, null, List.of(), false);
                }
            }
        }
        return type;
    }

    public static void main(String[] arguments) throws Exception {
        Map<String, String> settings = new TreeMap<>();
        settings.put("cluster.name", "cloakroom-tests");
        settings.put("node.name", "only");
        settings.put("discovery.type", "single-node");
        settings.put("network.host", "127.0.0.1");
        // A full disk of the machine is not what the tests are about.
        settings.put("cluster.routing.allocation.disk.threshold_enabled", "false");
        List<Object> plugins = new ArrayList<>(List.of(plugin(Drop.class)));
        for (String argument : arguments) {
            String[] parts = argument.split("=", 2);
            if (parts[0].equals("plugins")) {
                for (String name : parts[1].split(",")) {
                    plugins.add(plugin(Class.forName("org.opensearch." + name)));
                }
            } else {
                settings.put(parts[0], parts[1]);
            }
        }
        Path configuration = Path.of(settings.get("path.home"), "config");
        Files.createDirectories(configuration);
        Environment environment = InternalSettingsPreparer.prepareEnvironment(
                Settings.builder().putProperties(settings, name -> name).build(), Map.of(), configuration, () -> "only");
        Node node = new SearchNode(environment, plugins);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                node.close();
            } catch (Exception error) {
                error.printStackTrace();
            }
        }));
        node.start();
        System.out.println("started");
        Thread.currentThread().join();
    }
}
