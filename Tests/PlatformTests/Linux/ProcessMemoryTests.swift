import Glibc
import Testing

@testable import Platform

@Suite struct ProcessMemoryTests {
  @Test func `memory is a process's own when it is used, and shared memory is not`() async {
    await #expect(processExitsWith: .success) {
      let memory = try ProcessMemory()
      let before = memory.ownByteCount
      let own = try #require(mmap(nil, 32 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
      let shared = try #require(mmap(nil, 32 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
      #expect(memory.ownByteCount < before + (4 << 20))
      memset(shared, 1, 32 << 20)
      #expect(memory.ownByteCount < before + (4 << 20))
      memset(own, 1, 32 << 20)
      #expect(((28 << 20)...(40 << 20)).contains(memory.ownByteCount - before))
    }
  }

  @Test func `beyond the growth that is let nothing can be mapped`() async {
    await #expect(processExitsWith: .success) {
      let memory = try ProcessMemory()
      try memory.limitGrowth(to: 16 << 20)
      #expect(mmap(nil, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
      #expect(mmap(nil, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
    }
  }
}
