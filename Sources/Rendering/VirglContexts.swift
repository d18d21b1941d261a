import Buffers
import CVirglRenderer
import GPUDevice

/// A capability set of the library's.
enum VirglCapset: UInt32 {
  case virgl = 1
  case virgl2 = 2
  case venus = 4
}

/// Contexts of one capability set that the library has.
final class VirglContexts: ContextKind {
  /// The library has no limit of its own; Mesa's drivers submit a quarter of this at most.
  let maximumCommandByteCount = 4 << 20
  let capsetVersion: UInt32
  let capsetBytes: [UInt8]
  private let source: VirglCapset
  private unowned let renderer: VirglRenderer

  /// Nil for a set that the library does not have, or has nothing in.
  init?(_ renderer: VirglRenderer, _ set: VirglCapset) {
    var version: UInt32 = 0
    var byteCount: UInt32 = 0
    renderer.library.get_cap_set(set.rawValue, &version, &byteCount)
    guard byteCount > 0, byteCount <= UInt32(Response.maximumCapsetByteCount) else { return nil }
    // The library may write more than it says of a version; nothing it has is longer than an answer.
    var bytes = [UInt8](repeating: 0, count: Response.maximumCapsetByteCount)
    bytes.withUnsafeMutableBytes { renderer.library.fill_caps(set.rawValue, version, $0.baseAddress) }
    bytes.removeLast(bytes.count - Int(byteCount))
    guard bytes.contains(where: { $0 != 0 }) else { return nil }
    self.renderer = renderer
    source = set
    capsetVersion = version
    capsetBytes = bytes
  }

  var capset: UInt32 { source.rawValue }
  var isDefault: Bool { source == .virgl2 }

  func makeContext(_ access: ContextAccess) throws(GPUError) -> any GuestContext {
    do throws(Ledger.OverLimit) { try access.ledger?.checkRendering() } catch { throw .overLimit(error) }
    let name = "muntin"
    let code = renderer.library.context_create_with_flags(
      access.id.rawValue, source.rawValue, UInt32(name.utf8.count), name)
    try renderer.check(code, "a context")
    return source == .venus ? VenusContext(renderer, access) : VirglContext(renderer, access)
  }
}

/// One context of a guest in the library that draws by OpenGL.
final class VirglContext: GuestContext {
  private unowned let renderer: VirglRenderer
  private let access: ContextAccess

  init(_ renderer: VirglRenderer, _ access: ContextAccess) {
    self.renderer = renderer
    self.access = access
  }

  private var number: Int32 { Int32(bitPattern: access.id.rawValue) }
  let usesRenderer = true

  func submit(_ commands: UnsafeRawBufferPointer) throws(GPUError) {
    guard commands.count % 4 == 0 else { throw .invalidCommandSize(UInt32(clamping: commands.count)) }
    // The copy is ours: the library only reads it.
    let words = UnsafeMutableRawPointer(mutating: commands.baseAddress)
    try renderer.check(renderer.library.submit_cmd(words, number, Int32(commands.count / 4)), "commands")
  }

  func attached(_ resource: ResourceID) {
    renderer.library.ctx_attach_resource(number, Int32(bitPattern: resource.rawValue))
  }

  func detached(_ resource: ResourceID) {
    renderer.library.ctx_detach_resource(number, Int32(bitPattern: resource.rawValue))
  }

  func fence(_ fence: FenceID) -> FenceState { renderer.fence(fence, access) }

  func fence(_ fence: FenceID, ring: UInt8) -> FenceState { renderer.fence(fence, ring: ring, access) }

  /// A blob is what a command of the stream has made under a number; 0 is none.
  func rendersBlob(_ number: UInt64) -> Bool { number != 0 }

  func makeBlob(
    _ blob: Command.CreateBlob, over pages: [UnsafeMutableRawBufferPointer]
  ) throws(GPUError) -> RenderedBlob { try renderer.makeBlob(blob, in: access.id, over: pages) }

  func memory(ofBlob number: UInt64, byteCount: UInt64) throws(GPUError) -> HostMemory { throw .unknownBlob(number) }

  func destroyed() {
    renderer.fences.removeAll(of: access.id)
    renderer.library.context_destroy(access.id.rawValue)
    renderer.noteWork()
  }
}
