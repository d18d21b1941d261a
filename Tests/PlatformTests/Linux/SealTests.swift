import Glibc
import TestSupport
import Testing

@testable import Platform

@Suite("seals") struct SealTests {
  @Test("nobody can change the size of shared memory, its owner neither")
  func sealed() throws {
    let file = try SharedMemory.create(name: "test", count: 8192)
    #expect(SharedMemory.readerSafety(of: file.raw) == .cannotShrink)
    #expect(ftruncate(file.raw, 0) == -1 && errno == EPERM)
    #expect(ftruncate(file.raw, 16384) == -1 && errno == EPERM)
  }

  @Test("an ordinary file is not to be read, nor shared")
  func ordinary() throws {
    let folder = try ScratchFolder()
    let path = "\(folder.path)/socket"
    let file = FileDescriptor(adopting: open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0o600))
    #expect(SharedMemory.readerSafety(of: file.raw) == nil)
    #expect(!SharedMemory.mayBeShared(file.raw))
  }
}
