import Glibc
import Platform

/// Where a compositor listens, as programs are told by their environment.
public enum CompositorSocket {
  /// Connects as the environment says: an open socket (WAYLAND_SOCKET), or the name of one (WAYLAND_DISPLAY) in
  /// XDG_RUNTIME_DIR.
  public static func connect() throws(WaylandError) -> FileDescriptor {
    if let inherited = variable("WAYLAND_SOCKET") { return try adopt(inherited) }
    let path = try path(display: variable("WAYLAND_DISPLAY"), folder: variable("XDG_RUNTIME_DIR"))
    do throws(SystemError) {
      return try UnixSocket.connect(path: path, kind: .stream, timeLimit: .seconds(5))
    } catch {
      throw .cannotConnect(error)
    }
  }

  /// The socket's path; without a display, that of the first one.
  static func path(display: String?, folder: String?) throws(WaylandError) -> String {
    let display = display ?? "wayland-0"
    if display.hasPrefix("/") { return display }
    guard let folder, folder.hasPrefix("/") else {
      throw .noDisplay(
        "XDG_RUNTIME_DIR is not set; run this in the compositor's session, or set WAYLAND_DISPLAY to a path")
    }
    return "\(folder)/\(display)"
  }

  private static func adopt(_ text: String) throws(WaylandError) -> FileDescriptor {
    unsetenv("WAYLAND_SOCKET")
    guard let raw = Int32(text), fcntl(raw, F_SETFD, FD_CLOEXEC) == 0 else {
      throw .noDisplay("WAYLAND_SOCKET=\(text) is no open socket")
    }
    return FileDescriptor(adopting: raw)
  }

  private static func variable(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
  }
}
