import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import java.util.List;

/** A server that speaks MongoDB's protocol and keeps everything in memory, for tests: java -cp '…/*' Server.java PORT */
class Server {
  public static void main(String[] args) throws Exception {
    // The client talks to no server that is older; of what is used here, this one can do everything.
    var version = new MongoVersion() {
      public List<Integer> getVersionArray() {
        return List.of(5, 0, 0);
      }

      public int getWireVersion() {
        return 13;
      }
    };
    new MongoServer(new MemoryBackend().version(version)).bind("127.0.0.1", Integer.parseInt(args[0]));
    Thread.currentThread().join();
  }
}
