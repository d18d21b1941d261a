import Buffers
import HubProtocol

/// What an update of a shared picture costs the host, and when the other VM is woken: two VMs whose guests' part is played
/// here, pictures of three sizes, 64x64 pixels of damage.
enum SharedPictures {
  private static let sizes = [
    ("720p", Size(width: 1280, height: 720)), ("1080p", Size.fullHD), ("4K", Size(width: 3840, height: 2160)),
  ]
  private static let damage = Rectangle(x: 128, y: 256, width: 64, height: 64)
  /// How far the costs of the sizes may be apart.
  private static let sameness = 1.2
  private static let updates = 50, turns = 8

  private static let meanings = [
    "CPU per update: of both graphics cards and the hub, from the owner's kick until it may draw again",
    "woken after: from the owner's kick to the importer's having UPDATED in its ring, its copy being up to date",
  ]

  /// One round, with processes of its own.
  static func measure(_ programs: Programs, _ folder: WorkFolder, _ results: Results) throws(BenchError) {
    for access in [BufferAccess.read, .readWrite] {
      let pair = try SharingVMs(programs, folder)
      let ids = try sizes.map { (name, size) throws(BenchError) in try pair.share(name, size, access) }
      var costs = sizes.map { _ in [Double]() }
      var times = sizes.map { _ in [Double]() }
      // Sizes take turns, so that what disturbs the machine disturbs all.
      for turn in 0...turns {
        for (index, id) in ids.enumerated() {
          let before = pair.cpuNanoseconds
          let some = try (0..<updates).map { _ throws(BenchError) in try pair.update(id, damage) }
          // The first turn touches memory for the first time.
          guard turn > 0 else { continue }
          times[index] += some
          costs[index].append(Double(pair.cpuNanoseconds - before) / Double(updates) / 1000)
        }
      }
      record(access, costs.map { percentile(0.5, of: $0) }, times, results)
    }
  }

  private static func record(
    _ access: BufferAccess, _ costs: [Double], _ times: [[Double]], _ results: Results
  ) {
    let form = access == .read ? "its own copy" : "shared memory"
    for (size, cost) in zip(sizes, costs) {
      results.record(
        Figure(.sharing, "\(form), \(size.0): CPU per update", .microseconds, beside: .nothing), ours: cost)
    }
    let ratio = (costs.max() ?? .nan) / (costs.min() ?? .nan)
    let figure = Figure(
      .sharing, "\(form), CPU per update: largest of the three / smallest", .count, beside: .nothing, .atMost(sameness))
    results.record(figure, ours: ratio)
    if access == .read { for meaning in meanings { results.note(figure, meaning) } }
    for (name, share) in [("median", 0.5), ("99th percentile", 0.99)] {
      for (size, list) in zip(sizes, times) {
        results.record(
          Figure(.sharing, "\(form), \(size.0): woken after, \(name)", .microseconds, beside: .nothing),
          ours: percentile(share, of: list))
      }
    }
  }
}

/// Two VMs, of which one shares what it has with the other.
private final class SharingVMs {
  private let hub: (program: Program, socket: String)
  private let cards: [Program]
  private let owner: SharingProgram, importer: SharingProgram
  private var generations: [BufferID: UInt64] = [:]

  init(_ programs: Programs, _ folder: WorkFolder) throws(BenchError) {
    hub = try programs.startHub(folder)
    let first = try programs.startBackend(.muntin, folder, hub: hub.socket, name: "owner", hasChannel: true)
    let second = try programs.startBackend(.muntin, folder, hub: hub.socket, name: "importer", hasChannel: true)
    cards = [first.program, second.program]
    owner = try SharingProgram(try SharingGuest(socket: first.socket))
    importer = try SharingProgram(try SharingGuest(socket: second.socket))
    try grant()
  }

  private func grant() throws(BenchError) {
    guard let owner = PeerName("owner"), let importer = PeerName("importer"), let own = PeerName("bench-grant") else {
      throw .noRoom("a name")
    }
    do throws(ControlError) {
      _ = try ControlClient(hubPath: hub.socket, name: own).grant(
        GrantRequest(owner: Party(.vm, owner), to: Party(.vm, importer), object: .everything, access: .readWrite))
    } catch {
      throw .program("hub", error.description)
    }
  }

  /// What the processes of the host have used so far.
  var cpuNanoseconds: UInt64 { (cards + [hub.program]).reduce(0) { $0 + $1.usage.cpuNanoseconds } }

  /// Makes a picture and gives it to the other VM.
  func share(_ name: String, _ size: Size, _ access: BufferAccess) throws(BenchError) -> BufferID {
    guard let layout = PixelLayout(size: size, format: .xrgb8888) else { throw .noRoom("a picture") }
    let id = try owner.export(name, layout)
    try owner.say(.application(.update(BufferUpdate(id: id, damage: Rectangle(size), generation: 1))))
    try importer.acquire(id, access)
    generations[id] = 1
    _ = try owner.hear { if case .application(.bufferWanted(id, _)) = $0 { true } else { nil } }
    _ = try update(id, Rectangle(x: 0, y: 0, width: 0, height: 0))
    return id
  }

  /// One update until the owner may draw again; microseconds until the importer was woken.
  func update(_ id: BufferID, _ damage: Rectangle) throws(BenchError) -> Double {
    let generation = generations[id, default: 0] + 1
    generations[id] = generation
    try importer.listen()
    try owner.listen()
    let start = Stopwatch.now
    let said = try owner.begin(.update(BufferUpdate(id: id, damage: damage, generation: generation)))
    try importer.wake()
    let time = Double(Stopwatch.now - start) / 1000
    try owner.finish(said)
    guard case .application(.updated(let update)) = try importer.heard().message, update.generation == generation else {
      throw .timedOut("UPDATED")
    }
    try importer.say(.application(.done(id, generation: generation)))
    _ = try owner.hear { message in
      guard case .application(.bufferDone(let done)) = message else { return nil as Bool? }
      return done.generation == generation && done.remaining == 0 ? true : nil
    }
    return time
  }
}
