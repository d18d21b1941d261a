import Buffers
import Virtqueue

/// A virtio-gpu card, 2D, blobs and, with a ``Renderer``, 3D (virtio 1.3, 5.7): takes a guest's commands from two queues and tells a sink what is
/// shown.
///
/// Wire bytes become a ``Command``, a handler makes a ``Response`` of it, and that becomes wire bytes. Nothing here
/// blocks, prints, or trusts the guest.
public final class GPUDevice: VirtioDevice {
  /// What the card was made as.
  public let configuration: GPUConfiguration
  /// What it has done.
  public internal(set) var statistics = GPUStatistics()

  /// Called when the driver should read configuration space again.
  public var configurationChanged: (() -> Void)?
  /// Called when a queue has had its share of a wake: call ``kicked(queue:)`` again after serving others. Without it a
  /// queue is served until it is empty.
  public var yield: ((_ queue: Int) -> Void)?
  /// Called for each request that is refused, with its header if it had one.
  public var refused: ((GPUError, CommandHeader?) -> Void)?
  /// Called when a queue's ring cannot be true; the queue is dead until it starts again.
  public var queueBroken: ((_ queue: Int, VirtqueueError) -> Void)?

  let sink: any DisplaySink
  /// What contexts can be made of, in the order of GET_CAPSET_INFO.
  let contextKinds: [any ContextKind]
  /// What draws in 3D; nil where nothing does.
  let renderer: (any Renderer)?
  var resources: ResourceTable
  var scanouts: [Scanout]
  var cursors: [CursorPlane]
  var displayModes: [DisplayMode] = []
  /// `num_scanouts`.
  var scanoutCount: Int
  /// `events_read`.
  var events: UInt32 = 0
  var memory: GuestMemory?
  var contexts: ContextTable
  var hostVisible: HostVisibleWindow
  private var acceptedFeatures: UInt64 = 0

  private let queues = [RequestQueue(), RequestQueue()]
  private let request = UnsafeMutableRawBufferPointer.allocate(byteCount: CommandCode.maximumByteCount, alignment: 8)
  let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: CursorImage.byteCount, alignment: 8)
  private let answer = UnsafeMutableRawBufferPointer.allocate(byteCount: Response.maximumByteCount, alignment: 8)
  private var isServing = false

  /// The flush that a sink is being told of, and who has not latched it.
  var flushWait = RequestQueue.FlushWait.none
  /// The serial number of the last flush.
  var flushSerial: UInt64 = 0
  /// Tokens of that flush that came back before it was known that they were held.
  var earlyTokens: UInt16 = 0
  /// What the request in hand waits for.
  var awaitedChange: AwaitedChange?
  /// What the current wake may still do: one for a command, one for each 16 KiB copied.
  var allowance = 0

  /// A card that nobody uses yet.
  public init(
    configuration: GPUConfiguration, sink: any DisplaySink, contextKinds: [any ContextKind] = [],
    renderer: (any Renderer)? = nil
  ) {
    self.renderer = renderer
    self.configuration = configuration
    self.sink = sink
    self.contextKinds = contextKinds
    resources = ResourceTable(maximumCount: configuration.maximumResources, limits: configuration.limits)
    contexts = ContextTable(ledger: resources.ledger)
    hostVisible = HostVisibleWindow(
      byteCount: Self.windowByteCount(configuration), maximumCount: configuration.maximumMappings)
    let sizes = configuration.scanouts.prefix(ScanoutID.maximumCount)
    scanoutCount = max(1, sizes.count)
    let ids = (0..<ScanoutID.maximumCount).map { ScanoutID(rawValue: UInt32($0)) }
    scanouts = ids.map { id in
      let index = Int(id.rawValue)
      return Scanout(id, size: index < sizes.count ? sizes[index] : nil, machine: configuration.name)
    }
    cursors = ids.map { CursorPlane(scanout: $0) }
    updateDisplayModes()
    for queue in queues {
      queue.encode = { [unowned self] in encode($0, answering: $1, into: $2) }
      queue.waitingChanged = { [ledger = resources.ledger] in ledger.noteWaiting($0) }
    }
  }

  deinit {
    request.deallocate()
    answer.deallocate()
    scratch.deallocate()
  }

  // MARK: Features

  /// VIRTIO_GPU_F_EDID.
  public static let edidFeature: UInt64 = 1 << 1
  /// VIRTIO_GPU_F_RESOURCE_UUID.
  public static let resourceUUIDFeature: UInt64 = 1 << 2

  /// VIRTIO_GPU_F_VIRGL.
  public static let virglFeature: UInt64 = 1 << 0
  /// VIRTIO_GPU_F_RESOURCE_BLOB.
  public static let resourceBlobFeature: UInt64 = 1 << 3
  /// VIRTIO_GPU_F_CONTEXT_INIT.
  public static let contextInitFeature: UInt64 = 1 << 4
  /// VIRTIO_GPU_F_BLOB_ALIGNMENT.
  public static let blobAlignmentFeature: UInt64 = 1 << 5

  /// Only what works.
  ///
  /// Linux puts its framebuffers into blobs of its own pages when it is offered blobs without VIRGL, and makes contexts,
  /// and blobs in the host's memory, only when it is offered VIRGL: that is how the configuration chooses.
  public var deviceFeatures: UInt64 {
    var features = Self.edidFeature | Self.resourceUUIDFeature
    if offersBlobs { features |= Self.resourceBlobFeature | Self.blobAlignmentFeature }
    if configuration.allocation == .host, hostVisible.byteCount > 0 { features |= Self.virglFeature }
    if !contextKinds.isEmpty { features |= Self.virglFeature | Self.contextInitFeature }
    return features
  }

  var offersBlobs: Bool { configuration.allocation == .guest || hostVisible.byteCount > 0 }

  /// The region's length: whole alignments, nothing that a guest could not be given.
  private static func windowByteCount(_ configuration: GPUConfiguration) -> UInt64 {
    let granule = UInt64(configuration.blobAlignment.rawValue)
    return min(configuration.hostVisible, 1 << 46).addingReportingOverflow(granule - 1).partialValue & ~(granule - 1)
  }

  /// The driver's choice. It outlives ``reset()``: a transport may learn of the new driver's choice first.
  public func featuresAccepted(_ features: UInt64) { acceptedFeatures = features }

  func hasAccepted(_ feature: UInt64) -> Bool { acceptedFeatures & feature & deviceFeatures != 0 }

  func requireFeature(_ feature: UInt64, for code: CommandCode) throws(GPUError) {
    guard hasAccepted(feature) else { throw .notOffered(code) }
  }

  // MARK: Queues

  /// Which queue carries what.
  public static let controlQueue = 0, cursorQueue = 1
  /// Control and cursor.
  public var queueCount: Int { 2 }

  /// A queue is ready.
  public func start(_ queue: Virtqueue) {
    guard queues.indices.contains(queue.index) else { return }
    queues[queue.index].start(queue)
  }

  /// Answers what a sink still holds, and never touches the queue again.
  public func stop(queue index: Int) {
    guard queues.indices.contains(index) else { return }
    queues[index].stop()
  }

  /// Guest memory is another one, or has changed; backings are found again at their next use.
  public func memoryChanged(_ memory: GuestMemory) {
    self.memory = memory
    guestMemoryMoved()
    texturesMoved()
  }

  /// Does what the driver has put into a queue.
  public func kicked(queue index: Int) {
    guard queues.indices.contains(index), !isServing else { return }
    isServing = true
    defer { isServing = false }
    do throws(VirtqueueError) {
      try serve(queues[index], index)
    } catch {
      queueBroken?(index, error)
    }
    queues[index].notifyIfNeeded()
  }

  /// What one wake may do before others have their turn.
  private static let share = 4096
  /// After so many answers of one wake the driver is called, and again at the end: waking it takes longer than the
  /// rest, and goes on meanwhile.
  private static let answersBeforeCall = 8

  private func serve(_ queue: RequestQueue, _ index: Int) throws(VirtqueueError) {
    allowance = Self.share
    var answers = 0
    queue.suppressKicks()
    repeat {
      while let chain = try queue.next() {
        answer(chain, from: queue, index)
        answers += 1
        if answers == Self.answersBeforeCall { queue.notifyIfNeeded() }
        allowance -= 1
        if allowance <= 0, let yield { return yield(index) }
      }
    } while queue.enableKicks()
  }

  /// Wire bytes in, wire bytes out.
  private func answer(_ chain: DescriptorChain, from queue: RequestQueue, _ index: Int) {
    let bytes = UnsafeRawBufferPointer(rebasing: request[..<chain.read(into: request)])
    let header = decodeHeader(bytes)
    let response = respond(to: header, bytes, chain, isCursorQueue: index == Self.cursorQueue)
    statistics.commands += 1
    if let change = awaitedChange, let header {
      awaitedChange = nil
      return queue.hold(chain, header, until: change)
    }
    let written = encode(response, answering: header ?? CommandHeader(.getDisplayInfo), into: chain)
    let order = order(of: header, refused: response.code.isError)
    queue.complete(chain, written: written, order, wait: flushWait)
    flushWait = .none
  }

  /// A header, whose ring counts only where the driver has accepted that there are any.
  private func decodeHeader(_ bytes: UnsafeRawBufferPointer) -> CommandHeader? {
    guard var header = CommandHeader(decoding: bytes) else { return nil }
    if header.isOnRing, !hasAccepted(Self.contextInitFeature) { header.flags.remove(.ringIndex) }
    return header
  }

  private func encode(_ response: Response?, answering header: CommandHeader, into chain: DescriptorChain) -> UInt32 {
    let count = (response ?? .error(GPUError.windowUnavailable.response)).encode(answering: header, into: answer)
    return UInt32(chain.write(UnsafeRawBufferPointer(rebasing: answer[..<count])))
  }

  /// Answers the request that waits for a change of shared memory; false when none does.
  @discardableResult
  func finish(_ ticket: SharedMemoryTicket, _ response: Response) -> Bool {
    let control = queues[Self.controlQueue]
    guard control.finish(ticket, response) else { return false }
    notifyUnlessServing(control)
    return true
  }

  var controlRequests: RequestQueue { queues[Self.controlQueue] }

  /// Whoever serves a queue calls its driver at the end.
  func notifyUnlessServing(_ queue: RequestQueue) {
    if !isServing { queue.notifyIfNeeded() }
  }

  private func decode(_ header: CommandHeader, _ bytes: UnsafeRawBufferPointer) throws(GPUError) -> Command {
    do throws(CommandError) {
      return try Command.decode(header, bytes)
    } catch {
      throw GPUError(error)
    }
  }

  private func respond(
    to header: CommandHeader?, _ bytes: UnsafeRawBufferPointer, _ chain: DescriptorChain, isCursorQueue: Bool
  ) -> Response {
    do throws(GPUError) {
      guard let header else { throw .headerTruncated(byteCount: bytes.count) }
      let command = try decode(header, bytes)
      guard command.code.isCursorCommand == isCursorQueue else { throw .wrongQueue(command.code) }
      return try perform(command, header, chain)
    } catch {
      statistics.errors += 1
      refused?(error, header)
      return .error(error.response)
    }
  }

  // MARK: Flushes

  /// The sink has shown a flush that it had answered with `.pending`. A token that is not known is ignored.
  public func completeFlush(_ token: FlushToken) {
    latched(token.scanout, serial: token.serial, earlier: false)
  }

  /// The sink has shown all flushes of a scanout up to and including that serial number.
  public func completeFlushes(of scanout: ScanoutID, through serial: UInt64) {
    latched(scanout, serial: serial, earlier: true)
  }

  private func latched(_ scanout: ScanoutID, serial: UInt64, earlier: Bool) {
    guard scanout.rawValue < ScanoutID.maximumCount else { return }
    if serial == flushSerial || (earlier && serial > flushSerial) { earlyTokens |= scanouts[Int(scanout.rawValue)].bit }
    let control = queues[Self.controlQueue]
    control.latched(scanout, serial: serial, earlier: earlier)
    notifyUnlessServing(control)
  }

  /// Throws when no more commands may wait for somebody: to be asked before such a command does anything. What gives
  /// something back (UNMAP_BLOB) is not asked, and what only waits for its turn costs the guest nothing but its own ring.
  func checkWaiting() throws(GPUError) {
    do throws(Ledger.OverLimit) {
      try ledger.check(.commands)
    } catch {
      throw .overLimit(error)
    }
  }

  /// How many answers wait for a sink, or for their turn behind one that does.
  public var heldAnswerCount: Int { queues[Self.controlQueue].heldCount }

  // MARK: Life

  /// No resource, nothing shown, no cursor. What a sink still holds is answered now.
  public func reset() {
    for queue in queues { queue.releaseAll() }
    for scanout in scanouts { turnOff(scanout.id) }
    for index in cursors.indices where cursors[index].isVisible {
      cursors[index].hide()
      sink.cursorChanged(cursors[index].state)
    }
    for resource in resources.removeAll() { retire(resource) }
    for context in contexts.removeAll() { context.destroyed() }
    events = 0
  }

  /// Notes pixels that a sink had to copy for a flush.
  public func notePixelsCopied(_ count: UInt64) {
    statistics.pixelsCopied &+= count
    ledger.changed?()
  }

  /// Number of contexts now.
  public var contextCount: Int { contexts.count }
  /// Number of resources now.
  public var resourceCount: Int { resources.count }
  /// What is charged to the VM.
  public var ledger: Ledger { resources.ledger }
  /// Bytes of the host's memory that are charged to the VM now.
  public var memoryUsed: Int { ledger.totals.hostAllocated + ledger.totals.bookkeeping }
}
