import Buffers
import GPUProtocol

/// What is behind contexts of one capability set (virtio 1.3, 5.7.6.8, GET_CAPSET_INFO).
public protocol ContextKind: AnyObject {
  /// The set's number, as in linux/virtgpu_drm.h.
  var capset: UInt32 { get }
  /// The newest version of its contents.
  var capsetVersion: UInt32 { get }
  /// Its contents: at most `Response.maximumCapsetByteCount` bytes.
  var capsetBytes: [UInt8] { get }
  /// Whether a driver that names no set, as all do without VIRTIO_GPU_F_CONTEXT_INIT, gets contexts of this one.
  var isDefault: Bool { get }
  /// The most bytes that one SUBMIT_3D of such a context has.
  var maximumCommandByteCount: Int { get }
  /// CTX_CREATE: a context that reaches its card through `access`.
  ///
  /// - Throws: `overLimit` and the like; then there is no context.
  func makeContext(_ access: ContextAccess) throws(GPUError) -> any GuestContext
}

extension ContextKind {
  /// No.
  public var isDefault: Bool { false }
}

/// One context of a guest. It is called from inside ``GPUDevice``'s calls and may call its ``ContextAccess`` back.
public protocol GuestContext: AnyObject {
  /// Whether commands name resources that the ``Renderer`` has.
  var usesRenderer: Bool { get }
  /// SUBMIT_3D: a private copy of the commands.
  func submit(_ commands: UnsafeRawBufferPointer) throws(GPUError)
  /// CTX_ATTACH_RESOURCE: what is submitted may name the resource from now on.
  func attached(_ resource: ResourceID)
  /// CTX_DETACH_RESOURCE.
  func detached(_ resource: ResourceID)
  /// A fence of a SUBMIT_3D that is on no ring. After `.pending` the context owes
  /// ``ContextAccess/finishFences(through:)``, whether it lives or not.
  func fence(_ fence: FenceID) -> FenceState
  /// A command's fence on one of the context's rings. After `.pending` the context owes
  /// ``ContextAccess/finishFences(ring:through:)``.
  func fence(_ fence: FenceID, ring: UInt8) -> FenceState
  /// Whether the ``Renderer`` makes the blob of that number: ``makeBlob(_:over:)`` is asked for it, else
  /// ``memory(ofBlob:byteCount:)``.
  func rendersBlob(_ number: UInt64) -> Bool
  /// RESOURCE_CREATE_BLOB in the renderer's memory, and, for HOST3D_GUEST, over these pages. The renderer has the resource
  /// from now on, by its id and with the pages as its backing.
  ///
  /// - Throws: then there is no resource.
  func makeBlob(
    _ blob: Command.CreateBlob, over pages: [UnsafeMutableRawBufferPointer]
  ) throws(GPUError) -> RenderedBlob
  /// RESOURCE_CREATE_BLOB in the host's memory: what the context knows by that number.
  ///
  /// - Throws: `unknownBlob` where there is nothing of that number and length.
  func memory(ofBlob number: UInt64, byteCount: UInt64) throws(GPUError) -> HostMemory
  /// CTX_DESTROY, or the device's reset: nothing of it is called any more.
  func destroyed()
}

extension GuestContext {
  /// No.
  public var usesRenderer: Bool { false }
  /// Nothing.
  public func attached(_ resource: ResourceID) {}
  /// Nothing.
  public func detached(_ resource: ResourceID) {}
  /// Done.
  public func fence(_ fence: FenceID) -> FenceState { .done }
  /// No.
  public func rendersBlob(_ number: UInt64) -> Bool { false }
  /// None.
  public func makeBlob(
    _ blob: Command.CreateBlob, over pages: [UnsafeMutableRawBufferPointer]
  ) throws(GPUError) -> RenderedBlob { throw .unknownBlob(blob.blob) }
}

/// A blob that a renderer has made.
public struct RenderedBlob {
  /// Its bytes, to be mapped and shown; nil where the driver gives no descriptor of them.
  public let memory: HostMemory?
  /// How a guest is to map them.
  public let caching: MapCaching

  /// A blob with what is known of its memory.
  public init(memory: HostMemory?, caching: MapCaching = .cached) {
    self.memory = memory
    self.caching = caching
  }
}

/// Whether all that a fence waits for has been done.
public enum FenceState: Sendable {
  case done
  case pending
}
