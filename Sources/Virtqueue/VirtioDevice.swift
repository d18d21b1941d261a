/// A device behind some transport: what the transport (vhost-user) asks of it.
///
/// All calls come from the one event loop of the process. The device processes queues in ``kicked(queue:)``; the
/// transport calls it once after each ``start(_:)``, after a change of memory and for every kick.
public protocol VirtioDevice: AnyObject {
  /// The feature bits of the device type; the transport adds those of rings.
  var deviceFeatures: UInt64 { get }
  /// How many queues the device has.
  var queueCount: Int { get }
  /// The size of the configuration space in bytes.
  var configurationSize: Int { get }

  /// Copies configuration space from `offset` into `target`; the caller has checked the range.
  func readConfiguration(at offset: Int, into target: UnsafeMutableRawBufferPointer)
  /// Takes what the driver wrote at `offset`; the caller has checked the range.
  func writeConfiguration(at offset: Int, _ bytes: UnsafeRawBufferPointer)
  /// The driver's choice among the features.
  func featuresAccepted(_ features: UInt64)
  /// The guest's memory is another one, or has another shape (``GuestMemory/generation``). What has gone can be touched
  /// until this returns.
  func memoryChanged(_ memory: GuestMemory)
  /// A queue is ready; what it holds may be processed from now on.
  func start(_ queue: Virtqueue)
  /// The device completes what it can at once and never touches the queue again; what it leaves in flight is offered
  /// again when the queue resumes. The transport calls ``Virtqueue/stop()`` afterwards and answers with the base.
  func stop(queue index: Int)
  /// The driver has put something into the queue.
  func kicked(queue index: Int)
  /// Back to the state of a device just plugged in: no resource, no configuration of the old driver's.
  func reset()

  /// The device's shared memory regions; most have none.
  var sharedMemoryRegions: [SharedMemoryRegion] { get }
  /// How to map memory into the regions from now on; nil when there is no way any more, and nothing mapped.
  func sharedMemoryWindowChanged(_ window: (any SharedMemoryWindow)?)
  /// The answer to a change that the window took.
  func sharedMemoryChanged(_ ticket: SharedMemoryTicket, succeeded: Bool)
}

extension VirtioDevice {
  /// None.
  public var sharedMemoryRegions: [SharedMemoryRegion] { [] }
  /// Nothing.
  public func sharedMemoryWindowChanged(_ window: (any SharedMemoryWindow)?) {}
  /// Nothing.
  public func sharedMemoryChanged(_ ticket: SharedMemoryTicket, succeeded: Bool) {}
}
