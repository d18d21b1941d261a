import Glibc

/// What the figures were measured on, without anything that names the machine.
enum MachineDescription {
  /// A line for each part.
  static var lines: [String] {
    ["CPU: \(processor), \(sysconf(Int32(_SC_NPROCESSORS_ONLN))) cores", "Memory: \(memory)", "Kernel: \(kernel)"]
  }

  private static var processor: String {
    let line = TextFile.read("/proc/cpuinfo").split(separator: "\n").first { $0.hasPrefix("model name") }
    return line.flatMap { $0.split(separator: ":").last }.map { $0.drop { $0 == " " } }.map(String.init) ?? "unknown"
  }

  private static var memory: String {
    let line = TextFile.read("/proc/meminfo").split(separator: "\n").first { $0.hasPrefix("MemTotal") }
    let kibibytes = line?.split(separator: " ").compactMap { Double($0) }.first ?? 0
    return Numbers.fixed(kibibytes / 1024 / 1024, 1) + " GiB"
  }

  private static var kernel: String {
    "Linux \(TextFile.read("/proc/sys/kernel/osrelease").filter { $0 != "\n" })"
  }
}
