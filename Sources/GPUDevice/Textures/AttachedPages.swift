/// The guest's pages behind a resource of the renderer's, as the renderer has them.
struct AttachedPages {
  /// Nil while it has none.
  private var segments: [UnsafeMutableRawBufferPointer]?

  /// What a resource was made with, if anything.
  init(_ segments: [UnsafeMutableRawBufferPointer]? = nil) {
    self.segments = segments
  }

  /// Gives the renderer the pages, where all of them are there.
  mutating func attach(_ pages: GuestPages, to renderer: any Renderer, as id: ResourceID) throws(GPUError) {
    guard let found = pages.segments else { return }
    try renderer.attachBacking(found, to: id)
    segments = found
  }

  /// Takes them back.
  mutating func detach(from renderer: any Renderer, as id: ResourceID) {
    if segments != nil { renderer.detachBacking(of: id) }
    segments = nil
  }

  /// They may lie elsewhere: the renderer is given what is there now, or nothing where a part has gone.
  mutating func renew(_ pages: GuestPages, in renderer: any Renderer, as id: ResourceID) {
    guard !isSame(as: pages.segments) else { return }
    detach(from: renderer, as: id)
    try? attach(pages, to: renderer, as: id)
  }

  private func isSame(as other: [UnsafeMutableRawBufferPointer]?) -> Bool {
    guard let segments, let other else { return segments == nil && other == nil }
    return segments.elementsEqual(other) { $0.baseAddress == $1.baseAddress && $0.count == $1.count }
  }
}
