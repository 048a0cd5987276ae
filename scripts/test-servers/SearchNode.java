// One node of OpenSearch for tests, from its libraries: a distribution is in no package registry. The script makes the
// one for Elasticsearch of it, by putting that name in the place of the package's.
//
// Arguments: plugins=CLASS,CLASS… and settings of the node, NAME=VALUE each.

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.plugins.Plugin;

public final class SearchNode extends Node {
    private SearchNode(Environment environment, List<Class<? extends Plugin>> plugins) {
        super(environment, plugins, false);
    }

    public static void main(String[] arguments) throws Exception {
        Map<String, String> settings = new TreeMap<>();
        settings.put("cluster.name", "cloakroom-tests");
        settings.put("node.name", "only");
        settings.put("discovery.type", "single-node");
        settings.put("network.host", "127.0.0.1");
        // A full disk of the machine is not what the tests are about.
        settings.put("cluster.routing.allocation.disk.threshold_enabled", "false");
        List<Class<? extends Plugin>> plugins = new ArrayList<>();
        for (String argument : arguments) {
            String[] parts = argument.split("=", 2);
            if (parts[0].equals("plugins")) {
                for (String name : parts[1].split(",")) {
                    plugins.add(Class.forName("org.opensearch." + name).asSubclass(Plugin.class));
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
