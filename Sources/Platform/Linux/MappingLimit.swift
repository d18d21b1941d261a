import Glibc

extension MemoryMapping {
  /// How many pieces this process may have mapped at a time, as the system says (vm.max_map_count); what Linux starts
  /// with where it does not.
  public static let maximumPieces: Int = {
    let usual = 65_530
    let raw = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC)
    guard raw >= 0 else { return usual }
    let file = FileDescriptor(adopting: raw)
    return SystemFile.number(in: file) ?? usual
  }()
}

/// The small text files by which the kernel tells numbers.
enum SystemFile {
  /// The number at the start of the file; nil when there is none.
  static func number(in file: borrowing FileDescriptor) -> Int? {
    let raw = file.raw
    return withUnsafeTemporaryAllocation(byteCount: 32, alignment: 1) { room in
      let count = retryingInterrupts { read(raw, room.baseAddress, room.count) }
      guard count > 0 else { return nil }
      let digits = room[..<count].prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
      return Int(String(decoding: digits, as: UTF8.self))
    }
  }
}
