import Glibc

/// Where the hub is.
public enum HubSocket {
  /// `$MUNTIN_HUB`, else `$XDG_RUNTIME_DIR/muntin/hub.sock`, else `/run/muntin/hub.sock`.
  public static var defaultPath: String {
    if let path = environment("MUNTIN_HUB") { return path }
    return (environment("XDG_RUNTIME_DIR") ?? "/run") + "/muntin/hub.sock"
  }

  private static func environment(_ name: String) -> String? {
    guard let value = getenv(name), value.pointee != 0 else { return nil }
    return String(cString: value)
  }
}
