import Glibc
import Testing

@testable import Platform

@Suite("dma-bufs")
struct DMABufTests {
  @Test("a memory file, a socket and nothing are no dma-buf")
  func others() throws {
    let file = try SharedMemory.create(name: "test", count: 4096)
    #expect(!DMABuf.isDMABuf(file.raw))
    let bell = try Doorbell()
    #expect(!DMABuf.isDMABuf(bell.waiting.raw))
    #expect(!DMABuf.isDMABuf(-1))
  }

  /// What udmabuf does with pages is tested where there is a udmabuf: in a guest (Tests/Guests).
  @Test("pages become a dma-buf that is the same memory, or the reason is told")
  func udmabuf() throws {
    let page = SharedMemory.pageSize
    let file = try SharedMemory.create(name: "test", count: 4 * page)
    let pieces = [2, 0].map { MappingPiece(descriptor: file.raw, offset: UInt64($0 * page), count: page) }
    do throws(UDMABufFailure) {
      let device = try UDMABuf()
      let buffer = try device.create(pieces)
      #expect(DMABuf.isDMABuf(buffer.raw))
      #expect((try? DMABuf.size(of: buffer.raw)) == UInt64(2 * page))
    } catch {
      guard case .notAvailable = error else {
        Issue.record("\(error)")
        return
      }
      #expect(access("/dev/udmabuf", R_OK | W_OK) != 0)
    }
  }

  @Test("the limits of udmabuf are numbers")
  func limits() {
    #expect(UDMABuf.limits.pieces > 0)
    #expect(UDMABuf.limits.byteCount >= 1 << 20)
    #expect(MemoryMapping.maximumPieces > 1000)
  }

  @Test("files that can shrink or not be written are not udmabuf's")
  func seals() throws {
    let sealed = try SharedMemory.create(name: "test", count: 4096)
    #expect(UDMABuf.takes(sealed.raw))
    let table = UnsafeRawBufferPointer(start: UnsafeRawPointer(bitPattern: 1), count: 0)
    let unchangeable = try SharedMemory.createUnchangeable(name: "test", contents: table)
    #expect(!UDMABuf.takes(unchangeable.raw))
    let bell = try Doorbell()
    #expect(!UDMABuf.takes(bell.waiting.raw))
  }
}
