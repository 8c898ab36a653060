// A pod of the foreign servers: Jetty, over HTTP/1 and HTTP/2 with prior knowledge.
// Main IP PORT LOG

import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import org.eclipse.jetty.http.HttpFields;
import org.eclipse.jetty.http2.server.HTTP2CServerConnectionFactory;
import org.eclipse.jetty.io.Content;
import org.eclipse.jetty.server.Handler;
import org.eclipse.jetty.server.HttpConfiguration;
import org.eclipse.jetty.server.HttpConnectionFactory;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.Response;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.server.handler.GracefulHandler;
import org.eclipse.jetty.util.Callback;

public final class Main extends Handler.Abstract {
    private final OutputStream log;

    private Main(OutputStream log) {
        this.log = log;
    }

    public static void main(String[] args) throws Exception {
        Server server = new Server();
        HttpConfiguration config = new HttpConfiguration();
        ServerConnector connector = new ServerConnector(
                server, new HttpConnectionFactory(config), new HTTP2CServerConnectionFactory(config));
        connector.setHost(args[0]);
        connector.setPort(Integer.parseInt(args[1]));
        server.addConnector(connector);
        OutputStream log = Files.newOutputStream(
                Path.of(args[2]), StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        server.setHandler(new GracefulHandler(new Main(log)));
        server.setStopTimeout(20_000);
        server.setStopAtShutdown(true);
        server.start();
        server.join();
    }

    @Override
    public boolean handle(Request request, Response response, Callback callback) throws Exception {
        String id = request.getHeaders().get("x-id");
        synchronized (log) {
            log.write((request.getMethod() + " " + id + "\n").getBytes(StandardCharsets.US_ASCII));
        }
        if (id != null) {
            response.getHeaders().put("x-id", id);
        }
        String path = Request.getPathInContext(request);
        if (path.equals("/early")) {
            return answer(response, callback, 413, "");
        }
        long length = Content.Source.asInputStream(request).transferTo(OutputStream.nullOutputStream());
        String query = request.getHttpURI().getQuery();
        int number = query == null ? 0 : Integer.parseInt(query.substring(query.indexOf('=') + 1));
        switch (path) {
            case "/id":
                return answer(response, callback, 200, id + " " + length + "\n");
            case "/slow":
                Thread.sleep(number);
                return answer(response, callback, 200, id + " " + length + "\n");
            case "/big":
                response.getHeaders().put("content-length", number);
                response.write(true, ByteBuffer.wrap(piece(number)), callback);
                return true;
            case "/stream":
                try (OutputStream out = Content.Sink.asOutputStream(response)) {
                    for (int left = number; left > 0; left -= Math.min(left, 16384)) {
                        out.write(piece(Math.min(left, 16384)));
                        out.flush();
                    }
                }
                callback.succeeded();
                return true;
            case "/trailers":
                HttpFields trailers = HttpFields.build().put("x-trailer", id);
                response.getHeaders().put("trailer", "x-trailer");
                response.setTrailersSupplier(() -> trailers);
                response.write(true, ByteBuffer.wrap("body".getBytes(StandardCharsets.US_ASCII)), callback);
                return true;
            case "/none":
                return answer(response, callback, 204, "");
            case "/same":
                return answer(response, callback, 304, "");
            default:
                return answer(response, callback, 404, "");
        }
    }

    private static boolean answer(Response response, Callback callback, int status, String text) {
        response.setStatus(status);
        response.write(true, ByteBuffer.wrap(text.getBytes(StandardCharsets.US_ASCII)), callback);
        return true;
    }

    private static byte[] piece(int size) {
        byte[] piece = new byte[size];
        Arrays.fill(piece, (byte) 'x');
        return piece;
    }
}
