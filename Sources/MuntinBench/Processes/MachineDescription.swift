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

/// How busy others kept the processors during a run: what makes figures waver.
struct MachineLoad {
  private let start = MachineLoad.ticks

  /// The shares of the processors' time since then that other processes and other virtual machines took, once every
  /// child has been waited for.
  var line: String {
    let now = Self.ticks
    let all = max(1, now.all - start.all)
    let others = max(0, (now.busy - start.busy) - (now.own - start.own))
    return
      "Other processes took \(percent(others, all)) of the processors, the machine's host \(percent(now.stolen - start.stolen, all))"
  }

  private func percent(_ part: Double, _ all: Double) -> String { Numbers.fixed(100 * part / all, 0) + " %" }

  private static var ticks: (all: Double, busy: Double, stolen: Double, own: Double) {
    let line = TextFile.read("/proc/stat").prefix { $0 != "\n" }
    let fields = line.split(separator: " ").dropFirst().prefix(8).compactMap { Double($0) }
    guard fields.count == 8 else { return (0, 0, 0, 0) }
    let all = fields.reduce(0, +)
    return (all, all - fields[3] - fields[4] - fields[7], fields[7], ownTicks)
  }

  private static var ownTicks: Double {
    [RUSAGE_SELF.rawValue, RUSAGE_CHILDREN.rawValue].reduce(0) { sum, who in
      var usage = rusage()
      getrusage(who, &usage)
      return sum + [usage.ru_utime, usage.ru_stime].reduce(0) { $0 + Double($1.tv_sec) + Double($1.tv_usec) / 1e6 }
    } * Double(sysconf(Int32(_SC_CLK_TCK)))
  }
}
