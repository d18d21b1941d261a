import Glibc
import Platform

/// virglrenderer's render server (`virgl_render_server`): the process, and those that it makes for contexts, in which
/// guests' Vulkan runs. It ends with this process, and sees nothing of the guest but what it is told to draw.
final class RenderServer {
  private let process: ChildProcess
  /// The library's end of the connection; -1 once it has it.
  private var socket: Int32

  /// Where systems put the program.
  static let usualPaths = [
    "/usr/libexec/virgl_render_server", "/usr/lib/virglrenderer/virgl_render_server",
    "/usr/lib/x86_64-linux-gnu/virglrenderer/virgl_render_server",
    "/usr/lib/aarch64-linux-gnu/virglrenderer/virgl_render_server", "/usr/local/libexec/virgl_render_server",
  ]

  /// The program: RENDER_SERVER_EXEC_PATH, or where systems put it; nil where it is not installed.
  static var program: String? {
    if let named = getenv("RENDER_SERVER_EXEC_PATH") { return String(cString: named) }
    return usualPaths.first { access($0, X_OK) == 0 }
  }

  /// Starts it, with this process's environment and standard error.
  init() throws(RenderingError) {
    guard let program = Self.program else { throw .noRenderServer("is not installed") }
    do throws(SystemError) {
      let pair = try UnixSocket.pair(.sequencedPacket)
      let command = ChildCommand(
        program: program, arguments: ["--socket-fd", "0"], environment: Self.environment, folder: "/")
      process = try ChildProcess(command, output: STDERR_FILENO, input: pair.second.raw)
      let (own, given) = pair.take()
      socket = own
      close(given)
    } catch {
      throw .noRenderServer("cannot be started (\(error))")
    }
  }

  deinit { if socket >= 0 { close(socket) } }

  private static var environment: [String] {
    var entries: [String] = []
    var next = environ
    while let entry = next.pointee {
      entries.append(String(cString: entry))
      next += 1
    }
    return entries
  }

  /// The library's end of the connection, to keep; -1 when it was taken before.
  func takeSocket() -> Int32 {
    defer { socket = -1 }
    return socket
  }

  /// Its number.
  var pid: Int32 { process.pid }

  /// Calls `ended` once it has ended, and so has every process that it made.
  func watch(on loop: EventLoop, ended: @escaping (ChildEnd) -> Void) throws(SystemError) {
    let token = Token()
    token.value = try loop.watch(process.descriptor.raw, for: .readable) { [weak self] _ in
      guard let end = self?.process.reap() else { return }
      if let value = token.value { loop.unwatch(value) }
      ended(end)
    }
  }

  private final class Token {
    var value: EventLoop.Token?
  }
}
