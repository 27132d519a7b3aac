import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.exception.MongoServerError;
import io.netty.channel.Channel;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.stream.Stream;

/**
 * A server that speaks MongoDB's protocol and keeps everything in memory, for tests: java -cp 'JARS/*' Server.java PORT…
 * On several ports it plays a replica set whose members keep the same. The first one is the primary until it is told to
 * step down; then the next one is, and those that are not refuse as real ones do.
 */
class Server {
  public static void main(String[] args) throws Exception {
    var ports = Stream.of(args).map(Integer::parseInt).toList();
    var backend = (ports.size() == 1 ? new MemoryBackend() : new ReplicaSet(ports)).version(new Version());
    for (int port : ports) new MongoServer(backend).bind("127.0.0.1", port);
    Thread.currentThread().join();
  }
}

/** The client talks to no server that is older; of what is used here, this one can do everything. */
class Version implements MongoVersion {
  public List<Integer> getVersionArray() {
    return List.of(5, 0, 0);
  }

  public int getWireVersion() {
    return 13;
  }
}

class ReplicaSet extends MemoryBackend {
  private final List<Integer> ports;
  private volatile int primary = 0;

  ReplicaSet(List<Integer> ports) {
    this.ports = ports;
  }

  @Override
  public Document handleCommand(Channel channel, String database, String command, Document query) {
    int port = ((InetSocketAddress) channel.localAddress()).getPort();
    boolean isPrimary = port == ports.get(primary);
    switch (command.toLowerCase()) {
      case "ismaster", "hello" -> {
        var answer = super.handleCommand(channel, database, "isMaster", query);
        answer.putAll(new Document("setName", "tests").append("setVersion", 1).append("me", "127.0.0.1:" + port));
        answer.put("hosts", ports.stream().map(each -> "127.0.0.1:" + each).toList());
        answer.putAll(new Document("primary", "127.0.0.1:" + ports.get(primary)).append("secondary", !isPrimary));
        answer.putAll(new Document("ismaster", isPrimary).append("isWritablePrimary", isPrimary));
        return answer;
      }
      case "replsetstepdown" -> {
        primary = (primary + 1) % ports.size();
        return new Document("ok", 1);
      }
      case "find", "insert", "update", "delete", "aggregate", "createindexes", "listindexes" -> {
        if (!isPrimary) throw new MongoServerError(10107, "NotWritablePrimary", "not primary");
      }
    }
    return super.handleCommand(channel, database, command, query);
  }
}
