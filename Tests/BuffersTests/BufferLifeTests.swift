import TestSupport
import Testing

@testable import Buffers

@Suite struct BufferLifeTests {
  @Test func `a buffer lives from registered over shared, in use and retired to freed`() throws {
    var life = BufferLife.registered
    try life.move(.share)
    #expect(life == .shared)
    try life.move(.lease)
    try life.move(.lease)
    #expect(life == .inUse(leases: 2, isShared: true))
    try life.move(.retire)
    #expect(life == .retired(leases: 2))
    try life.move(.endLease)
    try life.move(.endLease)
    #expect(life == .freed)
  }

  @Test(arguments: [BufferLife.registered, .shared])
  func `a buffer that nobody reads is freed when its owner takes it back`(start: BufferLife) throws {
    var life = start
    try life.move(.retire)
    #expect(life == .freed)
  }

  @Test func `release is not destruction`() throws {
    var life = BufferLife.inUse(leases: 1, isShared: true)
    try life.move(.endLease)
    #expect(life == .shared)
  }

  @Test func `a revoked grant lets the leases that there are end, and none begin`() throws {
    var life = BufferLife.inUse(leases: 2, isShared: true)
    try life.move(.unshare)
    #expect(throws: BufferLife.IllegalMove.self) { try life.move(.lease) }
    try life.move(.endLease)
    try life.move(.endLease)
    #expect(life == .registered)
  }

  @Test(
    arguments: [
      (.registered, .lease), (.registered, .endLease), (.shared, .endLease), (.retired(leases: 1), .lease),
      (.retired(leases: 1), .share), (.retired(leases: 1), .unshare), (.retired(leases: 2), .retire),
      (.freed, .share), (.freed, .unshare), (.freed, .lease), (.freed, .endLease), (.freed, .retire),
    ] as [(BufferLife, BufferLife.Move)])
  func `an illegal move is refused and changes nothing`(start: BufferLife, move: BufferLife.Move) {
    var life = start
    #expect(throws: BufferLife.IllegalMove(state: start, move: move)) { try life.move(move) }
    #expect(life == start)
  }

  @Test func `whatever happens, the leases are those that began and did not end, and the end is freed`() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    var generator = SplitMix(seed: seed)
    for _ in 0..<2000 {
      var life = BufferLife.registered
      var leases = 0
      for _ in 0..<Int(generator.next() % 40) {
        let move = BufferLife.Move.allCases[Int(generator.next() % 5)]
        guard (try? life.move(move)) != nil else { continue }
        leases += move == .lease ? 1 : move == .endLease ? -1 : 0
        #expect(life.leases == leases, "seed \(seed)")
      }
      if !life.isRetired { try life.move(.retire) }
      while life.leases > 0 { try life.move(.endLease) }
      #expect(life == .freed, "seed \(seed)")
    }
  }
}
