import Glibc
import Testing

@testable import Platform

@Suite struct ProgramPagesTests {
  @Test func `released pages of the program are no longer resident, and come back when they are used`() {
    let before = Self.residentFilePages
    ProgramPages.release()
    let after = Self.residentFilePages
    #expect(after < before / 2, "\(before) pages before, \(after) after")
    #expect("\(Self.residentFilePages)".isEmpty == false)
  }

  /// Third field of /proc/self/statm: resident pages that belong to files or shared memory.
  private static var residentFilePages: Int {
    var bytes = [UInt8](repeating: 0, count: 128)
    let file = open("/proc/self/statm", O_RDONLY)
    defer { close(file) }
    let count = max(0, read(file, &bytes, bytes.count))
    let fields = bytes[..<count].split(separator: UInt8(ascii: " "))
    return fields.count > 2 ? Int(String(decoding: fields[2], as: UTF8.self)) ?? 0 : 0
  }
}
