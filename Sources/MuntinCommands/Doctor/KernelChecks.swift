import Glibc
import Platform
import Sandbox
import Supervisor

/// What the kernel offers.
enum KernelChecks {
  static var all: [Finding] { [memoryFiles, sandbox, kvm, renderNodes, openFiles, controlGroups] }

  // MARK: Memory files

  private static var memoryFiles: Finding {
    do {
      let file = try SharedMemoryFile(name: "muntin-doctor", count: SharedMemory.pageSize)
      _ = try file.readOnly()
      guard SharedMemory.mayBeShared(file.writable.raw), ftruncate(file.writable.raw, 0) < 0 else {
        return noMemoryFiles("memfd_create works, but its seals do not hold")
      }
    } catch {
      return noMemoryFiles("\(error)")
    }
    return Finding(
      "memory-files", .ok, "memfd with seals", means: "Pictures are shared between processes without a copy.")
  }

  private static func noMemoryFiles(_ found: String) -> Finding {
    Finding(
      "memory-files", .missing, found, means: "Nothing of Muntin works: every picture is a sealed memory file.",
      remedy: "use Linux 5.11 or later, with /proc mounted, where memfd_create is not forbidden")
  }

  // MARK: Sandbox

  private static var sandbox: Finding {
    let report = Sandbox.available
    let found = "\(report.calls); \(report.files)"
    guard report.isWhole else {
      return Finding(
        "sandbox", .limited, found,
        means: report.calls.isInForce
          ? "Every muntin gpu shuts itself in by a filter of system calls alone."
          : "A guest that breaks into its muntin gpu can do there what the user can.",
        remedy: "a kernel with CONFIG_SECCOMP_FILTER and CONFIG_SECURITY_LANDLOCK, with landlock among lsm=")
    }
    return Finding(
      "sandbox", .ok, found, means: "Every muntin gpu shuts itself in before it serves its guest (--sandbox).")
  }

  // MARK: Control groups

  private static var controlGroups: Finding {
    do throws(SystemError) {
      _ = try ControlGroups()
    } catch {
      return Finding(
        "control-groups", .limited, "\(error)",
        means: "Each VM's card limits its memory itself; muntin up cannot have the kernel do it.",
        remedy: "a group of this user's with cgroup v2's memory controller: systemd-run --user --scope -p Delegate=yes")
    }
    return Finding(
      "control-groups", .ok, "cgroup v2 with the memory controller",
      means: "muntin up has the kernel limit the memory of each VM's card.")
  }

  // MARK: KVM

  private static let slowLoop = Duration.milliseconds(20)

  private static var kvm: Finding {
    let time: Duration
    do {
      time = try VirtualMachineTrial.run()
    } catch {
      return noKVM(error)
    }
    guard time < slowLoop else {
      return Finding(
        "kvm", .limited,
        "/dev/kvm opens, but a loop that should take 0.1 ms took \(time.nanoseconds / 1_000_000) ms in a guest",
        means: "The host emulates a guest's kernel: with KVM guests hardly run. Use -accel tcg.",
        remedy: "run on a host with hardware virtualisation (or nested virtualisation switched on)")
    }
    return Finding("kvm", .ok, "/dev/kvm runs a guest", means: "Guests run at full speed with -accel kvm.")
  }

  private static func noKVM(_ error: SystemError) -> Finding {
    let isForbidden = error.code == EACCES || error.code == EPERM
    return Finding(
      "kvm", .limited, "/dev/kvm: \(error)", means: "Guests run 10 to 100 times slower, with -accel tcg.",
      remedy: isForbidden
        ? "add this user to the group kvm: usermod -aG kvm USER, then log in again"
        : "switch virtualisation on in the firmware (or nested virtualisation in the host) and load kvm_intel or kvm_amd"
    )
  }

  // MARK: Devices

  private static var renderNodes: Finding {
    let nodes = Folder.names("/dev/dri").filter { $0.hasPrefix("renderD") }.sorted().map { "/dev/dri/\($0)" }
    let usable = nodes.filter { access($0, R_OK | W_OK) == 0 }
    guard !nodes.isEmpty else {
      return Finding(
        "render-nodes", .limited, "no /dev/dri/renderD*",
        means: "No GPU for guests' 3D, which is drawn by Mesa's software driver (\"opengl\" below). 2D needs none.",
        remedy: "load the driver of the machine's GPU, or vgem for a test")
    }
    guard !usable.isEmpty else {
      return Finding(
        "render-nodes", .limited, "\(nodes.joined(separator: " ")): not for this user",
        means: "No GPU for guests' 3D, which is drawn by Mesa's software driver (\"opengl\" below). 2D needs none.",
        remedy: "add this user to the group render: usermod -aG render USER, then log in again")
    }
    return Finding(
      "render-nodes", .ok, usable.joined(separator: " "), means: "For guests' 3D: --render-node \(usable[0]).")
  }

  private static var openFiles: Finding {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    let found = "soft limit \(limit.rlim_cur), hard limit \(limit.rlim_max)"
    guard limit.rlim_max >= 4096 else {
      return Finding(
        "open-files", .limited, found, means: "Each picture takes up to 2 descriptors: many screens will not fit.",
        remedy: "LimitNOFILE=65536 in the systemd unit, or nofile in /etc/security/limits.conf")
    }
    return Finding("open-files", .ok, found, means: "Every part raises its own limit to the hard one.")
  }
}

/// What is in a folder.
enum Folder {
  /// The names in it, none when it cannot be read.
  static func names(_ path: String) -> [String] {
    guard let directory = opendir(path) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names
  }
}
