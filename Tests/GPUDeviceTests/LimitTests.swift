import Buffers
import GPUDevice
import Testing
import Virtqueue

/// Each limit of the ledger: beyond it the guest is told that there is no memory, and nothing else changes.
@Suite("Limits") struct LimitTests {
  private static func guest(_ change: @escaping (inout LedgerAmounts) -> Void) throws -> Guest {
    try Guest {
      $0.allocation = .host
      change(&$0.limits)
    }
  }

  private static func create(_ id: UInt32, _ guest: Guest) throws -> ResponseCode? {
    try guest.run(.contextCreate(nameLength: 0, kind: 0), context: id).code
  }

  /// Each: what is limited to two, and what takes one of it.
  private typealias Line = any WritableKeyPath<LedgerAmounts, Int> & Sendable
  private static let items: [(String, Line, @Sendable (Guest, UInt32) throws -> ResponseCode?)] = [
    ("buffers, as pictures", \.buffers, { try $0.create($1) }),
    ("buffers, as blobs of the host's", \.buffers, { try $0.createHostBlob($1) }),
    ("buffers, as blobs of the guest's", \.buffers, { try $0.createBlob($1, 4096, $0.pages(1)) }),
    ("descriptors, as pictures", \.descriptors, { try $0.create($1) }),
    ("descriptors, as blobs", \.descriptors, { try $0.createHostBlob($1) }),
    ("contexts", \.contexts, { try create($1, $0) }),
  ]

  @Test(
    "one thing more than its number is refused, changes nothing, and can be had once another is given up",
    arguments: 0..<6)
  func items(_ index: Int) throws {
    let (what, path, make) = Self.items[index]
    let guest = try Self.guest { $0[keyPath: path] = 2 }
    for id: UInt32 in 1...2 { #expect(try make(guest, id) == .okNoData, "\(what)") }
    let totals = guest.device.ledger.totals
    #expect(totals[keyPath: path] == 2)
    #expect(try make(guest, 3) == .outOfMemory, "\(what)")
    #expect(guest.device.ledger.totals == totals)
    if path == \.contexts {
      #expect(try guest.run(.contextDestroy, context: 1).code == .okNoData)
    } else {
      #expect(try guest.unref(1) == .okNoData)
    }
    #expect(try make(guest, 3) == .okNoData, "\(what)")
    guest.device.reset()
    #expect(guest.device.ledger.totals == .nothing)
  }

  @Test("a flush that would be one waiting command too many is refused and shown to nobody, until another is latched")
  func flushes() throws {
    let guest = try Self.guest { $0.commands = 2 }
    try guest.picture(1)
    #expect(try guest.show(1) == .okNoData)
    guest.sink.result = .pending
    let held = try (0..<2).map { _ in try guest.post(FlushTests.flush) }
    guest.kick()
    #expect(guest.completed().isEmpty && guest.device.ledger.totals.commands == 2)
    #expect(try guest.code(FlushTests.flush) == .outOfMemory)
    #expect(guest.sink.flushes.count == 2 && guest.device.ledger.totals.commands == 2)
    #expect(try guest.code(.getDisplayInfo) == .okDisplayInfo, "what does not wait goes on")
    guest.device.completeFlush(guest.sink.flushes[0].token)
    #expect(guest.completed() == [held[0]] && guest.device.ledger.totals.commands == 1)
    _ = try guest.post(FlushTests.flush)
    guest.kick()
    #expect(guest.completed().isEmpty && guest.sink.flushes.count == 3)
    guest.device.stop(queue: 0)
    #expect(guest.device.ledger.totals.commands == 0)
  }

  @Test("a refused flush with a fence takes its turn: its fence completes none before it")
  func fencedRefusal() throws {
    let guest = try Self.guest { $0.commands = 1 }
    try guest.picture(1)
    #expect(try guest.show(1) == .okNoData)
    guest.sink.result = .pending
    let posted = try (1...3).map { try guest.post(FlushTests.flush, fence: $0) }
    guest.kick()
    #expect(guest.completed().isEmpty && guest.device.ledger.totals.commands == 1)
    guest.device.completeFlush(guest.sink.flushes[0].token)
    #expect(guest.completed() == posted && guest.device.ledger.totals.commands == 0)
    let codes = try posted.map { try guest.answer(to: $0)?.type.code }
    #expect(codes == [.okNoData, .outOfMemory, .outOfMemory])
  }

  @Test("MAP_BLOB waits within the limit; UNMAP_BLOB, which gives back, is never refused")
  func mappings() throws {
    let guest = try Self.guest { $0.commands = 1 }
    for id: UInt32 in 1...3 { #expect(try guest.createHostBlob(id) == .okNoData) }
    let first = try guest.map(1, at: 0)
    guest.kick()
    #expect(try guest.now(guest.map(2, at: 8192)) == .outOfMemory && guest.device.mappedBlobCount == 1)
    guest.answerWindow()
    #expect(guest.completed() == [first] && guest.device.ledger.totals.commands == 0)
    let second = try guest.map(2, at: 8192)
    let end = try guest.unmap(1)
    guest.kick()
    #expect(guest.completed().isEmpty && guest.device.ledger.totals.commands == 2)
    guest.answerWindow()
    #expect(guest.completed() == [second, end] && guest.device.ledger.totals.commands == 0)
  }
}
