import Glibc

/// What a process has used so far, as /proc tells; zero for one that is gone.
struct ProcessUsage {
  let pid: pid_t

  /// Time on a processor of all living threads.
  var cpuNanoseconds: UInt64 {
    tasks.reduce(0) { sum, task in
      let words = TextFile.read("\(task)/schedstat").split(separator: " ")
      return sum + (words.first.flatMap { UInt64($0) } ?? 0)
    }
  }

  /// How often its threads went to sleep, which is as often as they woke up.
  var sleeps: UInt64 {
    tasks.reduce(0) { $0 + (Self.number("voluntary_ctxt_switches", in: "\($1)/status") ?? 0) }
  }

  /// Pages in memory, in MiB, shared ones included.
  var residentMebibytes: Double { mebibytes("VmRSS") }
  /// The same without shared memory: without pictures, which are memory files.
  var ownMebibytes: Double { mebibytes("RssAnon") + mebibytes("RssFile") }

  private func mebibytes(_ key: String) -> Double {
    Double(Self.number(key, in: "/proc/\(pid)/status") ?? 0) / 1024
  }

  private var tasks: [String] {
    let folder = "/proc/\(pid)/task"
    return TextFile.names(in: folder).map { "\(folder)/\($0)" }
  }

  private static func number(_ key: String, in path: String) -> UInt64? {
    for line in TextFile.read(path).split(separator: "\n") {
      let parts = line.split(whereSeparator: { $0 == ":" || $0 == " " || $0 == "\t" })
      if parts.count >= 2 && parts[0] == key { return UInt64(parts[1]) }
    }
    return nil
  }
}

/// Small files of the system.
enum TextFile {
  /// The whole file as text; empty when it cannot be read.
  static func read(_ path: String) -> String {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return "" }
    defer { close(file) }
    var bytes: [UInt8] = []
    var room = [UInt8](repeating: 0, count: 16384)
    while case let count = Glibc.read(file, &room, room.count), count > 0 { bytes += room[..<count] }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Replaces the file.
  static func write(_ text: String, to path: String) -> Bool {
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard file >= 0 else { return false }
    defer { close(file) }
    let bytes = Array(text.utf8)
    return Glibc.write(file, bytes, bytes.count) == bytes.count
  }

  /// What a folder holds.
  static func names(in folder: String) -> [String] {
    guard let stream = opendir(folder) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names
  }
}
