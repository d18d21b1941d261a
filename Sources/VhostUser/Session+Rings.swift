import Platform
import Virtqueue

// The rings of a session. A ring is *kicked* (the specification's "started") by the first kick after its set-up, and
// runs once it is also enabled; GET_VRING_BASE stops it.
extension Session {
  /// How often a ring without a kick descriptor is looked at.
  private static let pollInterval = Duration.milliseconds(1)

  var isAnyRingRunning: Bool { rings.contains(where: \.isRunning) }

  func performRingRequest(_ request: Request) throws(VhostUserError) -> Reply {
    switch request {
    case .setVringNum(let state): try setSize(of: try stoppedRing(state.index), to: state.num)
    case .setVringAddr(let address): try setAddress(address)
    case .setVringBase(let state): setBase(of: try stoppedRing(state.index), to: state.num)
    case .getVringBase(let state): return .state(VringState(index: state.index, num: stop(try ring(state.index))))
    case .setVringKick(let which): try setKick(of: try ring(which.index), which.hasDescriptor)
    case .setVringCall(let which): try setCall(of: try ring(which.index), which.hasDescriptor)
    case .setVringErr(let which): try setError(of: try ring(which.index), which.hasDescriptor)
    case .setVringEnable(let state): enable(try ring(state.index), state.num != 0)
    default: break
    }
    return .acknowledge
  }

  private func ring(_ index: UInt32) throws(VhostUserError) -> Ring {
    guard index < rings.count else { throw .noSuchRing(index) }
    return rings[Int(index)]
  }

  private func stoppedRing(_ index: UInt32) throws(VhostUserError) -> Ring {
    let ring = try ring(index)
    guard !ring.isRunning else { throw .ringRuns(index) }
    return ring
  }

  // MARK: Set-up

  private func setSize(of ring: Ring, to size: UInt32) throws(VhostUserError) {
    let isPowerOfTwo = size & (size &- 1) == 0
    guard size > 0, size <= VhostUserLimits.ringSize, isPowerOfTwo || features & RingFeature.packed != 0 else {
      throw .ringSize(size)
    }
    ring.size = size
    retry(ring)
  }

  private func setAddress(_ address: VringAddress) throws(VhostUserError) {
    let ring = try ring(address.index)
    if ring.isRunning {
      // QEMU sends the same addresses again to switch logging on and off.
      var unlogged = address
      unlogged.flags = ring.address?.flags ?? 0
      unlogged.log = ring.address?.log ?? 0
      guard unlogged == ring.address else { throw .ringRuns(address.index) }
      return
    }
    ring.address = address
    retry(ring)
  }

  private func setBase(of ring: Ring, to base: UInt32) {
    // The driver of a paused machine goes on where the ring was stopped. Another base is a new driver's, and often the
    // only sign of a reset that a front-end gives.
    if let answered = ring.answeredBase, answered != base, !isAnyRingRunning { resetForNewDriver() }
    ring.base = base
    retry(ring)
  }

  private func setKick(of ring: Ring, _ hasDescriptor: Bool) throws(VhostUserError) {
    forgetKick(ring)
    guard hasDescriptor else {
      poll(ring)
      return retry(ring)
    }
    let kick = SharedDescriptor(try takeDescriptor(of: .setVringKick))
    guard Doorbell.canWait(for: kick.raw) else { throw .noDoorbell(.setVringKick) }
    ring.kick = kick
    do {
      ring.kickToken = try loop.watch(kick.raw, for: [.readable, .edge]) { [unowned self, unowned ring] readiness in
        if readiness.contains(.readable) { kicked(ring) }
      }
    } catch {
      ring.kick = nil
      throw .system(error)
    }
    retry(ring)
  }

  private func setCall(of ring: Ring, _ hasDescriptor: Bool) throws(VhostUserError) {
    ring.call = hasDescriptor ? try takeDoorbell(of: .setVringCall) : nil
  }

  private func setError(of ring: Ring, _ hasDescriptor: Bool) throws(VhostUserError) {
    ring.error = hasDescriptor ? try takeDoorbell(of: .setVringErr) : nil
  }

  /// A descriptor that we write to. A front-end that makes an eventfd block again, and fills it, holds its own back-end and
  /// nobody else: write(2) to one cannot be told not to wait.
  private func takeDoorbell(of code: RequestCode) throws(VhostUserError) -> SharedDescriptor {
    let descriptor = try takeDescriptor(of: code)
    guard Doorbell.canRing(descriptor.raw) else { throw .noDoorbell(code) }
    do {
      try UnixSocket.setNonBlocking(descriptor.raw, true)
    } catch {
      throw .system(error)
    }
    return SharedDescriptor(descriptor)
  }

  func enable(_ ring: Ring, _ isEnabled: Bool) {
    ring.isEnabled = isEnabled
    guard isEnabled else { return }
    if ring.isRunning { process(ring) } else { start(ring) }
  }

  // MARK: Running

  /// The hot path: one kick, one call of the device, nothing allocated.
  private func kicked(_ ring: Ring) {
    ring.isKicked = true
    guard ring.isEnabled else { return }
    if ring.isRunning { process(ring) } else { start(ring) }
  }

  private func process(_ ring: Ring) {
    guard ring.failure == nil else { return }
    device.kicked(queue: ring.index)
    if let failure = ring.queue?.failure { fail(ring, failure) }
  }

  /// Tries again to start a ring whose set-up has changed.
  private func retry(_ ring: Ring) {
    ring.failure = nil
    start(ring)
  }

  private func start(_ ring: Ring) {
    guard !ring.isRunning, ring.isKicked, ring.isEnabled, ring.failure == nil, ring.size > 0, let address = ring.address
    else { return }
    recogniseNewDriver()
    do {
      let queue = try Virtqueue(
        index: ring.index, configuration: configuration(of: ring, at: address), memory: regions.memory)
      queue.callDescriptor = ring.call
      ring.queue = queue
      ring.answeredBase = nil
      device.start(queue)
      channel.resume()
      process(ring)
    } catch {
      fail(ring, error)
    }
  }

  private func configuration(of ring: Ring, at address: VringAddress) -> VirtqueueConfiguration {
    VirtqueueConfiguration(
      size: ring.size, features: features,
      addresses: VirtqueueAddresses(
        descriptors: address.descriptor, driver: address.available, device: address.used, space: .user),
      base: ring.base)
  }

  private func fail(_ ring: Ring, _ reason: VirtqueueError) {
    guard ring.failure == nil else { return }
    ring.fail(reason)
    owner.session(
      self, refused: RequestCode.setVringKick.rawValue, because: .ring(UInt32(ring.index), reason))
  }

  /// Rings look for their memory again; those that had none may start now.
  func memoryChangedUnderRings() {
    for ring in rings {
      if ring.isRunning { process(ring) } else { retry(ring) }
    }
  }

  // MARK: Stopping

  /// GET_VRING_BASE: the ring is not touched any more; where it would go on.
  @discardableResult
  func stop(_ ring: Ring) -> UInt32 {
    forgetKick(ring)
    ring.failure = nil
    if let queue = ring.queue {
      device.stop(queue: ring.index)
      ring.base = queue.stop()
      ring.queue = nil
    }
    let base = ring.base ?? initialBase
    ring.answeredBase = base
    if !isAnyRingRunning {
      configurationTouched = false
      channel.suspend()
    }
    return base
  }

  private func forgetKick(_ ring: Ring) {
    if let token = ring.kickToken { loop.unwatch(token) }
    if let timer = ring.pollTimer { loop.cancel(timer) }
    ring.kickToken = nil
    ring.pollTimer = nil
    ring.kick = nil
    ring.isKicked = false
  }

  /// A ring without a kick descriptor is started at once and looked at again and again.
  private func poll(_ ring: Ring) {
    ring.isKicked = true
    ring.pollTimer = loop.schedule(after: Self.pollInterval) { [unowned self, unowned ring] in
      poll(ring)
      kicked(ring)
    }
  }

  // MARK: Reset

  private var initialBase: UInt32 {
    VirtqueueConfiguration.initialBase(features & RingFeature.packed != 0 ? .packed : .split)
  }

  /// RESET_DEVICE: all rings disabled, the device as new. Memory and what was negotiated stay.
  func resetDevice() {
    for ring in rings {
      stop(ring)
      ring.isEnabled = false
      ring.base = nil
      ring.address = nil
      ring.size = 0
    }
    resetForNewDriver()
  }

  private func resetForNewDriver() {
    for ring in rings { ring.answeredBase = nil }
    device.reset()
    // What belongs to the connection rather than to the driver is still true.
    device.featuresAccepted(features)
    device.memoryChanged(regions.memory)
  }

  /// A new driver begins all rings at their first entry, where those of the old one may just have wrapped to as well.
  /// But it has looked at configuration space, which nobody does in a paused machine.
  private func recogniseNewDriver() {
    guard configurationTouched, !isAnyRingRunning else { return }
    let answers = rings.compactMap(\.answeredBase)
    if !answers.isEmpty && answers.allSatisfy({ $0 == initialBase }) { resetForNewDriver() }
  }
}
