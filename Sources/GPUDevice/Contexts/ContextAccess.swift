import Buffers
import GPUProtocol
import Virtqueue

/// What a context may do in its card: with its own resources and fences, not with those of others.
public struct ContextAccess {
  private weak var device: GPUDevice?
  /// The context.
  public let id: ContextID

  init(_ device: GPUDevice, _ id: ContextID) {
    self.device = device
    self.id = id
  }

  /// The VM's ledger; nil when the card is gone.
  public var ledger: Ledger? { device?.ledger }

  /// All fences of a ring up to this one are done.
  public func finishFences(ring: UInt8, through fence: FenceID) {
    device?.finishFences(of: .ring(id, ring), through: fence)
  }

  /// All fences that are on no ring, up to this one, are done.
  public func finishFences(through fence: FenceID) {
    device?.finishFences(of: .device, through: fence)
  }

  /// Bytes of the guest's pages behind a resource that is attached to the context; nil where there are none.
  public func pages(of resource: ResourceID) -> GuestPages? { attachedBlob(resource)?.pages }

  /// Whether pages are the host's memory, or others', which the guest sees in its window.
  public func isForeign(_ loan: PageLoan) -> Bool {
    loan.files.contains { device?.hostVisible.shows($0) ?? true }
  }

  /// The host's memory behind a resource that is attached to the context; nil where there is none.
  public func hostMemory(of resource: ResourceID) -> HostMemory? { attachedBlob(resource)?.host }

  /// Takes memory away from the guest: what it sees of it is zeros, and nothing of it is shown.
  public func takeAway(_ memory: HostMemory) { device?.takeAway(memory) }

  private func attachedBlob(_ resource: ResourceID) -> Blob? {
    guard let device, device.contexts.isAttached(resource, to: id) else { return nil }
    return try? device.resources.findBlob(resource)
  }
}
