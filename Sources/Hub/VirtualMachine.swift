import Buffers
import HubProtocol
import Platform

/// What the hub knows of a VM, whether its producer is there or not.
final class VirtualMachine {
  enum Presence: Equatable {
    /// The layout or a display knows it; its producer has not come since the hub started.
    case expected
    /// Its producer is connected.
    case present
    /// Its producer has left.
    case gone(since: MonotonicTime)
  }

  let name: PeerName
  var presence = Presence.expected
  var producer: ProducerSession?
  var socketPath = ""
  var memoryLimit: UInt64 = 0
  /// What its producer reported last.
  var report: LedgerReport?
  /// Whether a VMM is connected to the producer.
  var isConnected = false
  /// Whether its VMM maps memory read-only where it is told to.
  var mapsReadOnly = false
  /// The scanouts that somebody named, whether the producer announced them or not; in order.
  private(set) var scanouts: [Scanout] = []

  init(name: PeerName) {
    self.name = name
  }

  /// Those that have a cell in the automatic layout.
  var announced: [ScanoutIndex] { scanouts.filter(\.isAnnounced).map(\.index) }

  func existing(_ index: ScanoutIndex) -> Scanout? {
    for scanout in scanouts where scanout.index == index { return scanout }
    return nil
  }

  func scanout(_ index: ScanoutIndex) -> Scanout {
    if let scanout = existing(index) { return scanout }
    let scanout = Scanout(index: index)
    scanouts.insert(scanout, at: scanouts.firstIndex { $0.index > index } ?? scanouts.count)
    return scanout
  }

  var state: VMRecord.State {
    switch presence {
    case .expected: .expected
    case .gone: .gone
    case .present: isConnected ? .connected : .offline
    }
  }

  /// The producer has left: nothing is shown, no flush is waited for.
  func producerLeft() {
    producer = nil
    isConnected = false
    report = nil
    presence = .gone(since: .now)
    for scanout in scanouts { scanout.reset() }
  }
}

/// One screen of a VM.
final class Scanout {
  struct Content {
    let buffer: BufferEntry
    let source: Rectangle
    /// Rises with each change, as the producer counts.
    let generation: UInt64
  }

  let index: ScanoutIndex
  /// Whether the producer, or a display that was there before the hub, has named it.
  var isAnnounced = false
  var mode = Size(width: 0, height: 0)
  var content: Content?
  /// Of the newest content, also when it is none.
  var generation: UInt64 = 0
  var cursor = CursorState.hidden
  /// The places where it is shown.
  private(set) var views: [LayerView] = []

  private(set) var flushes: UInt64 = 0
  private(set) var lastFlushed: UInt64 = 0
  private var reported: UInt64 = 0

  /// What the layout wants; told to the producer once.
  var wantedMode: Size?
  private var toldMode: Size?

  init(index: ScanoutIndex) {
    self.index = index
  }

  func reset() {
    content = nil
    cursor = .hidden
    lastFlushed = 0
    reported = 0
    toldMode = nil
    toldRequirements = nil
    hasNewViewers = true
    for view in views { view.forgetSerials() }
  }

  func add(_ view: LayerView) { views.append(view) }
  func remove(_ view: LayerView) { views.removeAll { $0 === view } }

  // MARK: Flushes

  /// Counts a flush; false when its serial is not above those before.
  func note(flush serial: UInt64) -> Bool {
    guard serial > lastFlushed else { return false }
    lastFlushed = serial
    count(1)
    return true
  }

  /// Counts flushes; a producer may claim any number.
  func count(_ new: UInt64) {
    flushes = min(flushes &+ min(new, Self.countLimit), Self.countLimit)
  }

  private static let countLimit: UInt64 = 1 << 58

  /// The newest serial that everybody who shows the scanout has latched, if the producer does not know it yet.
  var unreported: UInt64? {
    var done = lastFlushed
    for view in views where !view.consumer.isViewer { done = min(done, view.done) }
    return done > reported ? done : nil
  }

  func noteReported(_ serial: UInt64) { reported = serial }

  /// Whether somebody who shows it gets its flushes by the hub.
  var isWantedByHub: Bool { views.contains { !$0.isLinked } }

  /// Whether some display of those is waited for. Viewers never are.
  var isAwaited: Bool { views.contains { !$0.isLinked && !$0.consumer.isViewer } }

  // MARK: Requirements

  /// Whether what the consumers can use may differ from what the producer knows.
  private var hasNewViewers = true
  private var toldRequirements: ScanoutRequirements?

  /// Who shows the scanout, or what they can use, has changed.
  func noteViewers() { hasNewViewers = true }

  /// What the producer is to be told of its consumers, if it does not know it yet.
  var untoldRequirements: ScanoutRequirements? {
    guard hasNewViewers, isAnnounced else { return nil }
    let wanted = merged
    if wanted != toldRequirements { return wanted }
    hasNewViewers = false
    return nil
  }

  func noteTold(_ requirements: ScanoutRequirements) {
    toldRequirements = requirements
    hasNewViewers = false
  }

  /// Which of its consumers are not shown what it shows, and why, for people; nil when all are.
  var trouble: String? {
    guard let content else { return nil }
    let misfits = views.compactMap { view in
      view.consumer.misfit(of: content.buffer).map { "\(view.consumer.title) \($0)" }
    }
    return misfits.isEmpty ? nil : merged.disagreement ?? misfits.joined(separator: "; ")
  }

  /// Until when the producer goes on as if a viewer were there, after the last one has left: one that comes and goes would
  /// make it copy whole pictures each time.
  private(set) var isHeldUntil: MonotonicTime?

  /// A viewer has left; whether somebody has to end the hold.
  func hold(until end: MonotonicTime) -> Bool {
    defer { isHeldUntil = end }
    return isHeldUntil == nil
  }

  /// When to look again; nil: the hold is over.
  func endHold() -> MonotonicTime? {
    guard let end = isHeldUntil, end <= .now else { return isHeldUntil }
    isHeldUntil = nil
    noteViewers()
    return nil
  }

  private var merged: ScanoutRequirements {
    let consumers = views.map(\.consumer)
    return ConsumerRequirements.merged(
      consumers.filter { !$0.isViewer }.map(\.requirements),
      viewers: isHeldUntil == nil ? consumers.filter(\.isViewer).map(\.requirements) : [.ofViewers])
  }

  // MARK: Mode

  /// The mode to ask the producer for, if it was not asked yet.
  var unaskedMode: Size? {
    guard isAnnounced, let wantedMode, wantedMode != mode else { return nil }
    return wantedMode == toldMode ? nil : wantedMode
  }

  func noteAsked(_ mode: Size) { toldMode = mode }

  func noteMode(_ mode: Size) {
    self.mode = mode
    if mode == wantedMode { toldMode = nil }
  }

  var record: VMRecord.Scanout {
    VMRecord.Scanout(
      scanout: index, isOn: content != nil, mode: mode, shown: content?.source.size ?? Size(width: 0, height: 0),
      flushes: flushes)
  }
}
