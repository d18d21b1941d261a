import Buffers
import CAllocations
import GPUDevice
import Testing
import Virtqueue

@Suite("Allocations") struct AllocationTests {
  @Test(
    "no command of a frame allocates",
    arguments: [VirtqueueConfiguration.Format.split, .packed])
  func frame(_ format: VirtqueueConfiguration.Format) throws {
    let guest = try Guest(format)
    try guest.picture(1)
    try guest.picture(2)
    for id: UInt32 in 1...2 {
      #expect(try guest.transfer(id, 0, 0, 64, 64) == .okNoData && guest.show(id) == .okNoData)
    }
    try guest.run(.updateCursor(CursorTests.update(resource: 1)))
    guest.sink.isRecording = false
    try Self.check(guest, Self.offer)
  }

  @Test("no command of a blob's frame allocates", arguments: [VirtqueueConfiguration.Format.split, .packed])
  func blobFrame(_ format: VirtqueueConfiguration.Format) throws {
    let guest = try Guest(format)
    for id: UInt32 in 1...2 {
      #expect(try guest.createBlob(id, 4 * 4096, guest.pages(4), flags: 2) == .okNoData)
      #expect(try guest.showBlob(id) == .okNoData)
    }
    guest.sink.isRecording = false
    try Self.check(guest, Self.offerBlobs)
  }

  private static func check(_ guest: Guest, _ offer: (Guest) throws -> Void) throws {
    // The warm-up lets the pools grow, of answers that wait too.
    for _ in 0..<3 { _ = try frame(guest, offer) }
    let allocations = try frame(guest, offer)
    #expect(allocations.ofDevice == 0)
    #expect(allocations.ofGuest > 0, "the count counts")
  }

  /// Draws with each command of a frame, fenced or not, while the display holds flushes.
  private static func frame(
    _ guest: Guest, _ offer: (Guest) throws -> Void
  ) throws -> (ofGuest: UInt64, ofDevice: UInt64) {
    let start = muntin_allocations()
    try offer(guest)
    guest.sink.result = .pending
    let offered = muntin_allocations()
    guest.kick()
    guest.device.completeFlushes(of: ScanoutID(rawValue: 0), through: .max)
    let served = muntin_allocations()
    while guest.control.poll() != nil {}
    #expect(guest.control.inFlightCount == 0)
    return (offered - start, served - offered)
  }

  /// Page flips between two blobs, and flushes, as Linux sends them for dumb framebuffers.
  private static func offerBlobs(_ guest: Guest) throws {
    let whole = Rectangle(x: 0, y: 0, width: 64, height: 64)
    for fence in [nil, 7] as [UInt64?] {
      for id: UInt32 in [1, 2, 1, 2] {
        let blob = ResourceID(rawValue: id)
        let show = Command.SetScanoutBlob(
          source: whole, scanout: ScanoutID(rawValue: 0), resource: blob, size: whole.size, format: 2, stride: 256,
          offset: 0)
        _ = try guest.post(.transferToHost2D(blob, whole, offset: 0), fence: fence)
        _ = try guest.post(.setScanoutBlob(show), fence: fence)
        _ = try guest.post(.resourceFlush(blob, whole), fence: fence)
      }
    }
  }

  // No command here is refused: the test library takes a backtrace of each error that is thrown, which allocates.
  private static func offer(_ guest: Guest) throws {
    let whole = Rectangle(x: 0, y: 0, width: 64, height: 64)
    let part = Rectangle(x: 3, y: 5, width: 17, height: 11)
    let id = ResourceID(rawValue: 1)
    for fence in [nil, 7] as [UInt64?] {
      for resource: UInt32 in 1...2 {
        let command = Command.setScanout(
          ScanoutID(rawValue: 0), resource: ResourceID(rawValue: resource), source: whole)
        _ = try guest.post(command, fence: fence)
      }
      let commands: [Command] = [
        .getDisplayInfo, .transferToHost2D(id, whole, offset: 0), .transferToHost2D(id, part, offset: 100),
        .setScanout(ScanoutID(rawValue: 0), resource: id, source: whole), .resourceFlush(id, whole),
        .getEDID(ScanoutID(rawValue: 0)),
      ]
      for command in commands { _ = try guest.post(command, fence: fence, room: 1100) }
    }
  }
}
