import Glibc
import Platform
import Supervisor

/// Whether what a configuration names is there.
enum ConfigurationChecks {
  static func all(_ configuration: Configuration) -> [Finding] {
    configuration.machines.compactMap { machine in machine.wayland.map { wayland($0, of: machine.name) } }
  }

  /// The socket of a compositor in which a VM's programs may have windows.
  private static func wayland(_ path: String, of vm: String) -> Finding {
    do throws(SystemError) {
      _ = try UnixSocket.connect(path: path, kind: .stream)
      return Finding(
        "wayland", .ok, "\(path) (VM \(vm)): a compositor listens",
        means: "A proxy in the guest shows its Wayland clients as windows of this compositor.")
    } catch {
      return Finding(
        "wayland", .missing, "\(path) (VM \(vm)): \(String(cString: strerror(error.code)))",
        means: "The guest's Wayland channels end at once.",
        remedy: error.code == EACCES
          ? "run `muntin up` as the compositor's user, or let it use the socket and its folder"
          : "start the compositor, or correct `wayland` of VM \(vm)")
    }
  }
}
