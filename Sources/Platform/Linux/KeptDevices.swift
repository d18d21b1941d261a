import Glibc
import Synchronization

/// Devices that stay open once they were opened: a process that has shut itself in opens none.
enum KeptDevices {
  private static let kept = Mutex<[String: SharedDescriptor]>([:])

  /// A device, for reading and writing.
  static func open(_ path: String) throws(SystemError) -> SharedDescriptor {
    if let known = kept.withLock({ $0[path] }) { return known }
    let raw = Glibc.open(path, O_RDWR | O_CLOEXEC)
    guard raw >= 0 else { throw .last("open \(path)") }
    let fresh = SharedDescriptor(FileDescriptor(adopting: raw))
    return kept.withLock { kept in
      if let known = kept[path] { return known }
      kept[path] = fresh
      return fresh
    }
  }
}

/// The threads of this process.
public enum ProcessThreads {
  /// How many there are; 0 where the system does not say.
  public static var count: Int {
    guard let directory = opendir("/proc/self/task") else { return 0 }
    defer { closedir(directory) }
    var count = 0
    while let entry = readdir(directory) {
      if entry.pointee.d_name.0 != CChar(UInt8(ascii: ".")) { count += 1 }
    }
    return count
  }
}
