import Buffers
import Glibc
import HubProtocol
import LifeSupport
import Testing

/// The ledger against the kernel.
@Suite(.serialized) struct LedgerTruthTests {
  @Test func `whatever happens, the ledger is what the kernel says`() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    let run = try RandomLife(seed: seed)
    for _ in 0..<120 { try run.step() }
    try run.finish()
  }
}

/// A guest that does what comes to its mind, among processes that die.
private final class RandomLife {
  private let seed: UInt64
  private var state: UInt64
  private let machine: Machine
  private var guest: SmallGuest
  private var live: [UInt32: Size] = [:]
  private var history: [String] = []

  init(seed: UInt64) throws {
    self.seed = seed
    state = seed
    machine = try Machine()
    guest = try machine.guest()
  }

  private func next(_ count: UInt64) -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return (state >> 33) % count
  }

  func step() throws {
    switch next(40) {
    case 0..<12: try create()
    case 12..<20: try onLive("transfer") { try guest.transfer($0, $1) }
    case 20..<25: try onLive("show") { try guest.show($0, $1) }
    case 25..<29: try onLive("flush") { try guest.flush($0, $1) }
    case 29..<35: try unref()
    case 35: try reset()
    case 36: try restart("gpu", machine.gpu) { try machine.startGPU() }
    case 37: try restart("hub", machine.hub) { try machine.startHub() }
    case 38: try restart("compositor", try #require(machine.compositor)) { try machine.startCompositor() }
    default: try compare()
    }
  }

  private func create() throws {
    let id = UInt32(next(12) + 1)
    guard live[id] == nil else { return }
    let size = Size(width: UInt32(next(200) + 32), height: UInt32(next(100) + 32))
    note("create \(id) \(size)")
    try guest.create(id, size)
    live[id] = size
  }

  private func onLive(_ name: String, _ body: (UInt32, Size) throws -> Void) throws {
    let ids = live.keys.sorted()
    guard !ids.isEmpty else { return }
    let id = ids[Int(next(UInt64(ids.count)))]
    note("\(name) \(id)")
    try body(id, live[id] ?? Size(width: 1, height: 1))
  }

  private func unref() throws {
    try onLive("unref") { id, _ in
      try guest.unref(id)
      live[id] = nil
    }
  }

  private func reset() throws {
    note("reset")
    try guest.reset()
    live.removeAll()
  }

  private func restart(_ name: String, _ process: Process, _ start: () throws -> Void) throws {
    note("kill \(name)")
    process.kill9()
    try start()
    if name == "gpu" {
      guest = try machine.guest()
      live.removeAll()
    }
    if next(2) == 0 { try compare() }
  }

  private func note(_ what: String) { history.append(what) }

  private func compare() throws {
    for _ in 0..<1000 {
      if machine.ledgerBytes == machine.kernelBytes { return }
      usleep(10_000)
    }
    let text = "kernel \(machine.kernelBytes), ledger \(machine.ledgerBytes ?? 0) after \(history)"
    try #require(Bool(false), "seed \(seed): \(text)")
  }

  func finish() throws {
    try compare()
    try reset()
    try machine.expectNothing()
  }
}
