import Glibc

/// Control groups for children, below the one that this process was started in (cgroup v2, cgroups(7)).
///
/// The kernel wants processes in leaves only: this process, and what it starts without a group of its own, moves into one.
public final class ControlGroups {
  private let folder: String
  private let own: String
  private var made: [ControlGroup] = []

  /// Moves this process, if the system lets it have groups with limits of memory.
  ///
  /// - Throws: ENOENT or ENOTSUP without cgroup v2 or its memory controller; EACCES and the like where the group is not
  ///   this user's (systemd: `Delegate=yes`); EBUSY when others are in it.
  public convenience init() throws(SystemError) {
    let mounts = try ControlFile.read("/proc/self/mountinfo")
    guard let folder = Self.folder(mounts: mounts, groups: try ControlFile.read("/proc/self/cgroup")) else {
      throw SystemError(call: "cgroup v2", code: ENOENT)
    }
    try self.init(folder: folder)
  }

  /// Groups below a folder.
  init(folder: String) throws(SystemError) {
    self.folder = folder
    own = "\(folder)/muntin-\(getpid())"
    let controllers = try ControlFile.read("\(folder)/cgroup.controllers").split(whereSeparator: \.isWhitespace)
    guard controllers.contains("memory") else {
      throw SystemError(call: "memory controller of \(folder)", code: ENOTSUP)
    }
    guard mkdir(own, 0o755) == 0 else { throw .last("mkdir \(own)") }
    do throws(SystemError) {
      try ControlFile.write("0", to: "\(own)/cgroup.procs")
      try ControlFile.write("+memory", to: "\(folder)/cgroup.subtree_control")
    } catch {
      remove()
      throw error
    }
  }

  deinit { remove() }

  /// Ends what is left in the groups, removes them, and moves this process back.
  public func remove() {
    for group in made { group.remove() }
    made.removeAll()
    // A group whose children have limits may not have processes.
    try? ControlFile.write("-memory", to: "\(folder)/cgroup.subtree_control")
    try? ControlFile.write("0", to: "\(folder)/cgroup.procs")
    rmdir(own)
  }

  /// A new group, whose processes may have so many bytes of memory together.
  public func make(_ name: String, memory byteCount: Int) throws(SystemError) -> ControlGroup {
    let plain = name.map { $0.isLetter || $0.isNumber ? $0 : "-" }
    let path = "\(own)-\(String(plain))"
    guard mkdir(path, 0o755) == 0 else { throw .last("mkdir \(path)") }
    let group = ControlGroup(path: path)
    made.append(group)
    try ControlFile.write("\(byteCount)", to: "\(path)/memory.max")
    return group
  }

  /// Where this process's group is, by /proc/self/mountinfo and /proc/self/cgroup.
  static func folder(mounts: String, groups: String) -> String? {
    let lines = groups.split(separator: "\n")
    guard let own = lines.first(where: { $0.hasPrefix("0::") })?.dropFirst(3) else { return nil }
    for mount in mounts.split(separator: "\n") {
      let halves = mount.split(separator: " ").split(separator: "-", maxSplits: 1)
      guard halves.count == 2, halves[1].first == "cgroup2", halves[0].count > 4 else { continue }
      let fields = Array(halves[0])
      let root = fields[3] == "/" ? "" : fields[3]
      guard own.hasPrefix(root) else { continue }
      let below = own.dropFirst(root.count)
      return String(fields[4]) + (below == "/" ? "" : String(below))
    }
    return nil
  }
}

/// A control group that this process made.
public struct ControlGroup: Sendable {
  fileprivate let path: String
  /// How often it is tried to remove a group whose processes are ending, every 5 ms.
  private static let tries = 200

  fileprivate init(path: String) { self.path = path }

  fileprivate func remove() {
    try? ControlFile.write("1", to: "\(path)/cgroup.kill")
    for _ in 0..<Self.tries {
      guard rmdir(path) != 0, errno == EBUSY else { return }
      usleep(5000)
    }
  }

  /// Moves a process into the group; what it had before counts where it was.
  public func add(_ pid: Int32) throws(SystemError) { try ControlFile.write("\(pid)", to: "\(path)/cgroup.procs") }
}

/// Files of the kernel's that hold a few words.
private enum ControlFile {
  static func read(_ path: String) throws(SystemError) -> String {
    let raw = open(path, O_RDONLY | O_CLOEXEC)
    guard raw >= 0 else { throw .last("open \(path)") }
    let file = FileDescriptor(adopting: raw)
    var text: [UInt8] = []
    var room = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = Glibc.read(file.raw, &room, room.count)
      guard count >= 0 else { throw .last("read \(path)") }
      guard count > 0 else { return String(decoding: text, as: UTF8.self) }
      text += room.prefix(count)
    }
  }

  static func write(_ text: String, to path: String) throws(SystemError) {
    let raw = open(path, O_WRONLY | O_CLOEXEC)
    guard raw >= 0 else { throw .last("open \(path)") }
    let file = FileDescriptor(adopting: raw)
    guard Glibc.write(file.raw, text, text.utf8.count) == text.utf8.count else { throw .last("write \(path)") }
  }
}
