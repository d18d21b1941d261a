import CLinux
import Glibc
import Platform

/// What a process may still do with files and networks (Landlock): what is not allowed here is denied. A memory file is no
/// file in this sense, and what is open stays open.
public struct FileRules: Equatable, Sendable {
  /// What can be allowed beneath a file or folder.
  public struct Access: OptionSet, Sendable {
    /// The kernel's bits.
    public let rawValue: UInt64
    /// Wraps the bits.
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    init(_ bits: Int...) { rawValue = UInt64(bits.reduce(0, |)) }

    /// Reading files and folders.
    public static let read = Access(MUNTIN_LANDLOCK_READ_FILE, MUNTIN_LANDLOCK_READ_DIR)
    /// Running programs.
    public static let execute = Access(MUNTIN_LANDLOCK_EXECUTE)
    /// Writing to files and devices that are there.
    public static let write = Access(MUNTIN_LANDLOCK_WRITE_FILE, MUNTIN_LANDLOCK_TRUNCATE, MUNTIN_LANDLOCK_IOCTL_DEV)
    /// Making sockets and removing files.
    public static let sockets = Access(MUNTIN_LANDLOCK_MAKE_SOCK, MUNTIN_LANDLOCK_REMOVE_FILE)

    /// What the kernel takes for a file that is no folder.
    static let ofFiles = Access(
      MUNTIN_LANDLOCK_READ_FILE, MUNTIN_LANDLOCK_EXECUTE, MUNTIN_LANDLOCK_WRITE_FILE, MUNTIN_LANDLOCK_TRUNCATE,
      MUNTIN_LANDLOCK_IOCTL_DEV)
  }

  /// Paths, and what is allowed at and beneath each.
  public var allowed: [(path: String, access: Access)]

  /// Rules that allow that much.
  public init(_ allowed: [(path: String, access: Access)] = []) { self.allowed = allowed }

  /// Whether both allow the same.
  public static func == (left: Self, right: Self) -> Bool {
    left.allowed.elementsEqual(right.allowed) { $0 == $1 }
  }
}

/// The kernel's Landlock.
enum Landlock {
  /// The version of its interface; nil where there is none.
  static var version: Int? {
    let version = muntin_landlock_version()
    return version > 0 ? Int(version) : nil
  }

  /// From this version on one thread can restrict all.
  static let versionForThreads = 8

  /// All that the version can deny of files.
  private static func files(_ version: Int) -> UInt64 {
    switch version {
    case 1: 1 << 13 - 1
    case 2: 1 << 14 - 1
    case 3, 4: 1 << 15 - 1
    default: 1 << 16 - 1
    }
  }

  /// Puts the rules in force for this thread and those that it starts; where the kernel can, for all threads. False where
  /// there is no Landlock.
  static func restrict(to rules: FileRules) throws(SystemError) -> Bool {
    guard let version else { return false }
    let files = files(version)
    // Networks: bind and connect of TCP. Scopes: others' abstract sockets; not signals, because the one that ends children
    // with this process (PR_SET_PDEATHSIG) would not reach them, and the filter of calls lets none be sent.
    let raw = muntin_landlock_create(files, version >= 4 ? 3 : 0, version >= 6 ? 1 : 0)
    guard raw >= 0 else { throw .last("landlock_create_ruleset") }
    let ruleset = FileDescriptor(adopting: raw)
    for (path, access) in rules.allowed { try allow(path, access.rawValue & files, in: ruleset) }
    guard muntin_landlock_restrict(ruleset.raw, version >= versionForThreads ? 1 : 0) == 0 else {
      throw .last("landlock_restrict_self")
    }
    return true
  }

  /// O_PATH, which Swift does not import.
  private static let pathOnly: Int32 = 0x20_0000

  /// What is not there needs no rule.
  private static func allow(
    _ path: String, _ access: UInt64, in ruleset: borrowing FileDescriptor
  ) throws(SystemError) {
    let raw = open(path, Self.pathOnly | O_CLOEXEC)
    guard raw >= 0 else { return }
    let parent = FileDescriptor(adopting: raw)
    var status = stat()
    guard fstat(parent.raw, &status) == 0 else { return }
    let isFolder = status.st_mode & S_IFMT == S_IFDIR
    let access = isFolder ? access : access & FileRules.Access.ofFiles.rawValue
    guard access == 0 || muntin_landlock_allow(ruleset.raw, parent.raw, access) == 0 else {
      throw .last("landlock_add_rule \(path)")
    }
  }
}
