import Buffers
import CPixman
import HubProtocol

/// One run: which parts, how often, and what came of it.
final class Bench {
  /// What can be asked for by itself.
  enum Part: String, CaseIterable {
    case commands, population, transfers, flushes, blobs, composition, idle, memory, buffers, sharing, guests, rendering
  }

  /// The name of the display that sees the frames.
  private static let display = "bench"

  let results = Results()
  private let programs: Programs
  private let rounds: Int
  private let parts: Set<Part>
  private let folder: WorkFolder?
  private let guests: Machine.Files?
  private let renderedGuests: Machine.RenderedFiles?
  private let progress: (String) -> Void
  private let start = Stopwatch.now
  private let load = MachineLoad()

  init(
    _ programs: Programs, guests: Machine.Files?, renderedGuests: Machine.RenderedFiles?, rounds: Int, parts: Set<Part>,
    progress: @escaping (String) -> Void
  ) {
    self.programs = programs
    self.guests = guests
    self.renderedGuests = renderedGuests
    self.rounds = rounds
    self.parts = parts
    self.progress = progress
    folder = try? WorkFolder()
  }

  /// Measures everything that was asked for.
  func run() throws(BenchError) {
    guard let folder else { throw .program("temporary folder", "cannot be made") }
    if !parts.isDisjoint(with: [.commands, .population, .transfers]) { try runDevice(folder) }
    if parts.contains(.flushes) { try runFlushes(folder) }
    if parts.contains(.blobs) { try runBlobs(folder) }
    if parts.contains(.composition) { try runComposition() }
    if !parts.isDisjoint(with: [.idle, .memory]) { try runResting(folder) }
    if parts.contains(.buffers) { try runBuffers(folder) }
    if parts.contains(.sharing) { try runSharing(folder) }
    if parts.contains(.guests) { try runGuests(folder) }
    if parts.contains(.rendering) { try runRendering(folder) }
  }

  private func runDevice(_ folder: WorkFolder) throws(BenchError) {
    let items: [(Part, (Subject, Results) throws(BenchError) -> Void)] = [
      (.commands, SmallCommands.measure), (.population, Population.measure), (.transfers, Transfers.measure),
    ]
    let subjects = (ours: try subject(.muntin, folder), qemu: try subject(.qemu, folder))
    for round in 0..<rounds {
      for (part, measure) in items where parts.contains(part) {
        progress("round \(round + 1) of \(rounds): \(part.rawValue)")
        for side in Side.order(ofRound: round) {
          let subject = side == .muntin ? subjects.ours : subjects.qemu
          subject.guest.forgetRequests()
          try measure(subject, results)
        }
      }
    }
  }

  private func runFlushes(_ folder: WorkFolder) throws(BenchError) {
    let hub = programs.measuresReferenceTwice ? nil : try programs.startHub(folder)
    let ours =
      if let hub { try subjectWithHub(folder, hub.socket) } else { try subject(.muntin, folder) }
    let qemu = try subject(.qemu, folder)
    for round in 0..<rounds {
      progress("round \(round + 1) of \(rounds): flushes")
      for side in Side.order(ofRound: round) {
        let subject = side == .muntin ? ours : qemu
        subject.guest.forgetRequests()
        try Flushes.measure(subject, results)
      }
    }
    hub?.program.end()
  }

  private func runBlobs(_ folder: WorkFolder) throws(BenchError) {
    let hub = programs.measuresReferenceTwice ? nil : try programs.startHub(folder, trusting: Self.display)
    let other = programs.measuresReferenceTwice ? nil : try programs.startHub(folder)
    let ours = try blobStage(.muntin, folder, hub?.socket)
    let qemu = try blobStage(.qemu, folder, nil)
    for round in 0..<rounds {
      progress("round \(round + 1) of \(rounds): blobs")
      for side in Side.order(ofRound: round) { try BlobFlushes.measure(side == .muntin ? ours : qemu, results) }
    }
    guard let hub, let other else { return }
    try BlobFlushes.count(ours, besideCopying: try blobStage(.muntin, folder, other.socket), results)
    hub.program.end()
    other.program.end()
  }

  private func blobStage(_ side: Side, _ folder: WorkFolder, _ hub: String?) throws(BenchError) -> BlobStage {
    let screens = BlobFlushes.sizes
    let subject =
      if let hub { try subjectWithHub(folder, hub, screens: screens) } else { try subject(side, folder) }
    return try BlobStage(subject, screens: screens, hub: hub)
  }

  private func runComposition() throws(BenchError) {
    for round in 0..<rounds {
      progress("round \(round + 1) of \(rounds): composition")
      try Composition.measure(results, round: round)
    }
  }

  private func runBuffers(_ folder: WorkFolder) throws(BenchError) {
    for round in 0..<min(rounds, 5) {
      progress("round \(round + 1): buffers")
      try SharedBuffers.measure(programs, folder, results)
    }
  }

  private func runSharing(_ folder: WorkFolder) throws(BenchError) {
    for round in 0..<min(rounds, 5) {
      progress("round \(round + 1): sharing")
      try SharedPictures.measure(programs, folder, results)
    }
  }

  private func runGuests(_ folder: WorkFolder) throws(BenchError) {
    guard let files = guests else { return progress("no guests: Scripts/bench gives them") }
    try RealGuests.measure(programs, files, folder, rounds: min(rounds, 3), progress, results)
  }

  private func runRendering(_ folder: WorkFolder) throws(BenchError) {
    if !programs.measuresReferenceTwice {
      let stage = try RenderingStage(programs, folder)
      for round in 0..<rounds {
        progress("round \(round + 1) of \(rounds): rendering")
        try Rendering.measure(stage, results)
      }
    }
    guard let files = renderedGuests else { return progress("no guests that draw in 3D: Scripts/bench gives them") }
    try RenderedGuests.measure(programs, files, folder, rounds: min(rounds, 3), progress, results)
  }

  /// These hardly waver: few rounds are enough.
  private func runResting(_ folder: WorkFolder) throws(BenchError) {
    for round in 0..<min(rounds, 3) {
      for side in Side.order(ofRound: round) {
        progress("round \(round + 1): memory and rest, \(side.rawValue)")
        let setup = try Resting.Setup(side, programs, folder)
        if parts.contains(.memory) { try Resting.measureMemory(setup, results) }
        if parts.contains(.idle) { try Resting.measureIdle(setup, results) }
      }
    }
  }

  /// A back-end whose pictures go through the display socket.
  private func subject(_ side: Side, _ folder: WorkFolder) throws(BenchError) -> Subject {
    let (program, socket) = try programs.startBackend(side, folder)
    return try Subject(side, program, socket: socket, viewer: .display(try DisplayReader()))
  }

  /// Our back-end whose pictures a consumer of the hub sees.
  private func subjectWithHub(
    _ folder: WorkFolder, _ hub: String, screens: [Size] = [.fullHD]
  ) throws(BenchError) -> Subject {
    guard let display = PeerName(Self.display) else { throw .program("display", "no name") }
    let watcher = try FrameWatcher(
      hubPath: hub, display: display, size: .fullHD, takesLinks: programs.usesLinks)
    let (program, socket) = try programs.startBackend(.muntin, folder, hub: hub, screens: screens)
    return try Subject(.muntin, program, socket: socket, viewer: .hub(watcher))
  }

  /// The report as a page.
  func page(_ report: Report, describing lines: [String]) -> String {
    let description =
      MachineDescription.lines + lines + ["Pixman: \(String(cString: pixman_version_string()))", load.line]
    let minutes = Numbers.fixed(Double(Stopwatch.now - start) / 60e9, 1)
    return """
      # Figures

      What they mean and how they are measured: [README.md](README.md). \(rounds) rounds in \(minutes) minutes.

      \(description.map { "- \($0)" }.joined(separator: "\n"))

      \(report.summary)

      \(report.markdown)

      """
  }
}
