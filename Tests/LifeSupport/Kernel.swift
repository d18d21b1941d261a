import Glibc

/// What the kernel says about memory files: who has them open or mapped.
public enum Kernel {
  /// One memory file.
  public struct File: Hashable, Sendable {
    /// Its number among memory files.
    public let inode: UInt64
    /// Its name, as its maker called it.
    public let name: String
  }

  /// The memory files that processes have open or mapped, and their sizes.
  public static func files(of pids: [Int32]) -> [File: UInt64] {
    var files: [File: UInt64] = [:]
    for pid in pids {
      for (file, size) in open(pid) + mapped(pid) { files[file] = max(size, files[file] ?? 0) }
    }
    return files
  }

  /// The bytes of all memory files of a name.
  public static func bytes(named name: String, of pids: [Int32]) -> UInt64 {
    files(of: pids).filter { $0.key.name == name }.reduce(0) { $0 + $1.value }
  }

  /// How many descriptors a process has open.
  public static func descriptors(of pid: Int32) -> Int { names("/proc/\(pid)/fd").count }

  /// How many mappings of memory files a process has.
  public static func memoryMappings(of pid: Int32) -> Int { mapped(pid).count }

  /// How many bytes of a memory file's mapping in a process are in memory.
  public static func residentBytes(of pid: Int32, named name: String) -> UInt64 {
    var isInside = false
    var sum: UInt64 = 0
    for line in text("/proc/\(pid)/smaps").split(separator: "\n") {
      if line.first?.isHexDigit ?? false, line.contains("-"), line.split(separator: " ")[0].contains("-") {
        isInside = line.contains("/memfd:\(name) ")
      } else if isInside, line.hasPrefix("Rss:") {
        sum += (line.split(separator: " ").dropFirst().first.flatMap { UInt64($0) } ?? 0) * 1024
      }
    }
    return sum
  }

  private static func open(_ pid: Int32) -> [(File, UInt64)] {
    names("/proc/\(pid)/fd").compactMap { number in
      let path = "/proc/\(pid)/fd/\(number)"
      var status = stat()
      guard let name = name(link(path)), stat(path, &status) == 0 else { return nil }
      return (File(inode: UInt64(status.st_ino), name: name), UInt64(status.st_size))
    }
  }

  private static func mapped(_ pid: Int32) -> [(File, UInt64)] {
    text("/proc/\(pid)/maps").split(separator: "\n").compactMap { line in
      let words = line.split(separator: " ", maxSplits: 5, omittingEmptySubsequences: true)
      guard words.count == 6, let name = name(String(words[5].drop { $0 == " " })), let inode = UInt64(words[4]),
        let offset = UInt64(words[2], radix: 16)
      else { return nil }
      let range = words[0].split(separator: "-").compactMap { UInt64($0, radix: 16) }
      guard range.count == 2 else { return nil }
      return (File(inode: inode, name: name), offset + range[1] - range[0])
    }
  }

  /// The name in "/memfd:NAME (deleted)".
  private static func name(_ path: String) -> String? {
    guard path.hasPrefix("/memfd:"), path.hasSuffix(" (deleted)") else { return nil }
    return String(path.dropFirst(7).dropLast(10))
  }

  private static func link(_ path: String) -> String {
    var room = [CChar](repeating: 0, count: 512)
    let count = readlink(path, &room, room.count)
    return String(decoding: room[..<max(0, count)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  private static func names(_ folder: String) -> [String] {
    guard let directory = opendir(folder) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name != "." && name != ".." { names.append(name) }
    }
    return names
  }

  /// A file's text.
  public static func text(_ path: String) -> String {
    guard let file = fopen(path, "r") else { return "" }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = fread(&chunk, 1, chunk.count, file)
      if count == 0 { return String(decoding: bytes, as: UTF8.self) }
      bytes += chunk[..<count]
    }
  }
}
