import CLinux
import Glibc

/// What this process has of the machine's memory for itself alone (/proc/self/statm, which stays open).
public final class ProcessMemory {
  private let file: FileDescriptor

  /// Opens the file.
  public init() throws(SystemError) {
    let raw = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
    guard raw >= 0 else { throw .last("open /proc/self/statm") }
    file = FileDescriptor(adopting: raw)
  }

  /// Bytes that are resident and in no file: what was allocated and used, not what is shared.
  public var ownByteCount: Int {
    let pages = numbers()
    guard pages.count > 2 else { return 0 }
    return max(0, pages[1] - pages[2]) * SharedMemory.pageSize
  }

  /// Lets the process map so many bytes of memory of its own more than now, used or not (RLIMIT_DATA); allocations beyond
  /// fail.
  public func limitGrowth(to byteCount: Int) throws(SystemError) {
    let pages = numbers()
    guard pages.count > 5 else { throw SystemError(call: "read /proc/self/statm", code: EIO) }
    let (sum, overflow) = (pages[5] * SharedMemory.pageSize).addingReportingOverflow(byteCount)
    guard !overflow else { return }
    var limit = rlimit(rlim_cur: rlim_t(sum), rlim_max: rlim_t(sum))
    let resource = __rlimit_resource_t(RLIMIT_DATA.rawValue)
    guard setrlimit(resource, &limit) == 0 else { throw .last("setrlimit RLIMIT_DATA") }
  }

  /// Gives the system back what was freed and is kept for the next allocation.
  public func giveBackFree() { muntin_give_back_free() }

  /// Pages: all, resident, resident of files and shared, code, 0, data and stacks.
  private func numbers() -> [Int] {
    withUnsafeTemporaryAllocation(byteCount: 256, alignment: 1) { room in
      let count = pread(file.raw, room.baseAddress, room.count, 0)
      guard count > 0 else { return [] }
      let text = String(decoding: room.prefix(count), as: UTF8.self)
      return text.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
    }
  }
}
