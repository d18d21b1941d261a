import Virtqueue

/// A device that answers each request with the bytes it came with: for tests, fuzzers and benchmarks of the transport.
public final class LoopbackDevice: VirtioDevice {
  /// One bit of its own.
  public let deviceFeatures: UInt64 = 1
  /// As many as it was made with.
  public let queueCount: Int
  /// As it was made with.
  public let sharedMemoryRegions: [SharedMemoryRegion]
  /// The way into the regions.
  public private(set) weak var window: (any SharedMemoryWindow)?
  /// The answers to changes of shared memory, in their order.
  public private(set) var windowAnswers: [(ticket: SharedMemoryTicket, succeeded: Bool)] = []
  /// As long as what it holds.
  public var configurationSize: Int { configuration.count }

  /// What configuration space holds.
  public var configuration: [UInt8]
  /// What the driver accepted last.
  public private(set) var features: UInt64 = 0
  /// How often the device was reset.
  public private(set) var resets = 0
  /// How often memory changed.
  public private(set) var memoryChanges = 0
  /// How many requests were completed.
  public private(set) var completed = 0
  /// The queues that run.
  public private(set) var running: Set<Int> = []
  /// Takes requests but completes none of them.
  public var isHolding = false
  /// Every request the device holds back, by queue.
  public private(set) var held: [(queue: Int, chain: DescriptorChain)] = []
  /// The memory as it was told last.
  public private(set) var memory: GuestMemory?

  private var queues: [Virtqueue?]
  private var spare = DescriptorChain()
  private let scratch: UnsafeMutableRawBufferPointer

  /// A device with that many queues.
  public init(queueCount: Int = 2, configurationSize: Int = 16, sharedMemoryRegions: [SharedMemoryRegion] = []) {
    self.queueCount = queueCount
    self.sharedMemoryRegions = sharedMemoryRegions
    configuration = (0..<configurationSize).map { UInt8(truncatingIfNeeded: $0) }
    queues = Array(repeating: nil, count: queueCount)
    scratch = .allocate(byteCount: 4096, alignment: 16)
  }

  deinit {
    scratch.deallocate()
  }

  /// Tells what configuration space holds.
  public func readConfiguration(at offset: Int, into target: UnsafeMutableRawBufferPointer) {
    for index in target.indices { target[index] = configuration[offset + index] }
  }

  /// Writes configuration space.
  public func writeConfiguration(at offset: Int, _ bytes: UnsafeRawBufferPointer) {
    for index in bytes.indices { configuration[offset + index] = bytes[index] }
  }

  /// Notes the driver's choice.
  public func featuresAccepted(_ features: UInt64) {
    self.features = features
  }

  /// Counts the change.
  public func memoryChanged(_ memory: GuestMemory) {
    memoryChanges += 1
    self.memory = memory
  }

  /// Notes the way into the regions.
  public func sharedMemoryWindowChanged(_ window: (any SharedMemoryWindow)?) {
    self.window = window
  }

  /// Notes the answer.
  public func sharedMemoryChanged(_ ticket: SharedMemoryTicket, succeeded: Bool) {
    windowAnswers.append((ticket, succeeded))
  }

  /// Begins to serve a queue.
  public func start(_ queue: Virtqueue) {
    running.insert(queue.index)
    queues[queue.index] = queue
  }

  /// Forgets a queue and what it held back of it.
  public func stop(queue index: Int) {
    running.remove(index)
    held.removeAll { $0.queue == index }
    queues[index] = nil
  }

  /// Answers all requests of a queue.
  public func kicked(queue index: Int) {
    guard let queue = queues[index] else { return }
    queue.suppressKicks()
    repeat {
      while take(from: queue) {}
    } while queue.enableKicks()
    queue.notifyIfNeeded()
  }

  /// Counts the reset and forgets what it held back.
  public func reset() {
    resets += 1
    features = 0
    held = []
  }

  private func take(from queue: Virtqueue) -> Bool {
    guard (try? queue.pop(into: spare)) == true else { return false }
    if isHolding {
      held.append((queue.index, spare))
      spare = DescriptorChain()
    } else {
      answer(spare, queue)
    }
    return true
  }

  private func answer(_ chain: DescriptorChain, _ queue: Virtqueue) {
    let count = chain.read(into: scratch)
    let written = chain.write(UnsafeRawBufferPointer(rebasing: scratch[..<count]))
    queue.push(chain, written: UInt32(written))
    completed += 1
  }
}
