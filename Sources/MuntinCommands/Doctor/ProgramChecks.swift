import CPNG
import CPixman
import CVNC
import Glibc

/// Which libraries and programs are there.
enum ProgramChecks {
  static var all: [Finding] { [libraries] + qemu }

  private static var libraries: Finding {
    let pixman = pixman_version_string().map { String(cString: $0) } ?? "unknown"
    let png = png_get_libpng_ver(nil).map { String(cString: $0) } ?? "unknown"
    guard muntin_vnc_load() != nil else {
      return Finding(
        "libraries", .limited, "pixman \(pixman), libpng \(png), no libvncserver",
        means: "Displays are composed and saved as PNG, but cannot be served by VNC.",
        remedy: "apt install libvncserver1")
    }
    return Finding(
      "libraries", .ok, "pixman \(pixman), libpng \(png), libvncserver \(LIBVNCSERVER_PACKAGE_VERSION)",
      means: "Displays are composed, saved as PNG and served by VNC.")
  }

  // MARK: QEMU

  private static var qemu: [Finding] {
    let programs = Self.programs(with: "qemu-system-")
    guard !programs.isEmpty else {
      return [
        Finding(
          "qemu", .missing, "no qemu-system-* in PATH", means: "Nothing to run guests with, unless another VMM does.",
          remedy: "apt install qemu-system-x86 (from backports for QEMU 10), or another VMM with vhost-user devices")
      ]
    }
    let findings = programs.map(finding)
    // Variants without the device, such as the one for microVMs, are of no interest beside one that has it.
    return findings.contains { $0.state == .ok } ? findings.filter { $0.state == .ok } : findings
  }

  private static func finding(_ program: String) -> Finding {
    let version = output("\(ShellWord.quoted(program)) --version").prefix { $0 != "\n" }
    let devices = output("\(ShellWord.quoted(program)) -device help")
    let has = ["vhost-user-gpu-pci", "vhost-user-test-device-pci"].filter { devices.contains("\"\($0)\"") }
    let found = "\(program): \(version.isEmpty ? "does not run" : String(version))"
    guard !has.isEmpty else {
      return Finding(
        "qemu", .limited, found, means: "It has no vhost-user-gpu-pci: it cannot use Muntin's graphics card.",
        remedy: "use a QEMU for PCI machines, built with vhost-user; in Debian apt install qemu-system-modules-opengl")
    }
    return Finding(
      "qemu", .ok, "\(found), with \(has.joined(separator: ", "))",
      means: has.count == 2
        ? "Every feature of the card can be used (qemu-arguments --generic)."
        : "Attach guests with `muntin qemu-arguments`. Change of screen sizes at run time needs QEMU 11.")
  }

  /// The programs of PATH whose name begins so, each once even when it has several names.
  private static func programs(with prefix: String) -> [String] {
    let folders = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
    var found: Set<String> = []
    for folder in folders.split(separator: ":") {
      for name in Folder.names(String(folder)) where name.hasPrefix(prefix) {
        let path = "\(folder)/\(name)"
        guard access(path, X_OK) == 0, let real = realpath(path, nil) else { continue }
        found.insert(String(cString: real))
        free(real)
      }
    }
    return found.sorted()
  }

  /// What a command prints within 20 s.
  private static func output(_ command: String) -> String {
    guard let pipe = popen("timeout 20 \(command) 2>&1 < /dev/null", "r") else { return "" }
    defer { pclose(pipe) }
    var text: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = fread(&chunk, 1, chunk.count, pipe)
      if count == 0 || text.count > 1 << 20 { return String(decoding: text, as: UTF8.self) }
      text.append(contentsOf: chunk[..<count])
    }
  }
}
