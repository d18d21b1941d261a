import Buffers

/// What draws in 3D for a card: it has the resources of RESOURCE_CREATE_3D, and those of RESOURCE_CREATE_2D that contexts
/// use, by their ids, and the contexts of its ``ContextKind``s draw into them. A card without one has pictures and blobs only.
///
/// It is called from inside ``GPUDevice``'s calls. Ids that it is given are checked: it is asked for no resource twice, and
/// for none that it does not have.
public protocol Renderer: AnyObject {
  /// RESOURCE_CREATE_3D, first half: about how many bytes of the host's memory such a resource takes; nil for more than
  /// there can be.
  func byteCount(of description: Command.Create3D) -> Int?
  /// RESOURCE_CREATE_3D, second half; or what stands for a resource of RESOURCE_CREATE_2D.
  func create(_ description: Command.Create3D) throws(GPUError)
  /// RESOURCE_UNREF, or the device's reset: its backing is detached by then.
  func remove(_ id: ResourceID)
  /// RESOURCE_ATTACH_BACKING: the guest's pages as they are in this process, valid until ``detachBacking(of:)``.
  func attachBacking(_ segments: [UnsafeMutableRawBufferPointer], to id: ResourceID) throws(GPUError)
  /// RESOURCE_DETACH_BACKING. The pages are still there, for the last time.
  func detachBacking(of id: ResourceID)
  /// TRANSFER_TO_HOST_3D: from the backing, in a context (or none).
  func transferToHost(_ transfer: Command.Transfer3D, in context: ContextID) throws(GPUError)
  /// TRANSFER_FROM_HOST_3D: to the backing, in a context (or none).
  func transferFromHost(_ transfer: Command.Transfer3D, in context: ContextID) throws(GPUError)
  /// Copies a rectangle's pixels in, the upper row first, `stride` bytes apart.
  func writePixels(
    of id: ResourceID, _ rectangle: Rectangle, from source: UnsafeRawBufferPointer, stride: Int
  ) throws(GPUError)
  /// Copies a rectangle's pixels out, the upper row first, `stride` bytes apart, once all that was drawn is there.
  func readPixels(
    of id: ResourceID, _ rectangle: Rectangle, into target: UnsafeMutableRawBufferPointer, stride: Int
  ) throws(GPUError)
}
