import Buffers
import CVirglRenderer
import GPUDevice
import Glibc

/// Resources in the library, by the guest's ids.
extension VirglRenderer: Renderer {
  /// About how many bytes a resource takes.
  public func byteCount(of description: Command.Create3D) -> Int? { VirglFormats.byteCount(of: description) }

  /// RESOURCE_CREATE_3D.
  public func create(_ description: Command.Create3D) throws(GPUError) {
    var arguments = virgl_renderer_resource_create_args(
      handle: description.resource.rawValue, target: description.target, format: description.format,
      bind: description.bind, width: description.size.width, height: description.size.height, depth: description.depth,
      array_size: description.arraySize, last_level: description.lastLevel, nr_samples: description.sampleCount,
      flags: description.flags)
    try check(library.resource_create(&arguments, nil, 0), "a resource")
  }

  /// RESOURCE_UNREF.
  public func remove(_ id: ResourceID) {
    library.resource_unref(id.rawValue)
    blobs[id] = nil
    // Of a blob that could not be kept: the device has detached all others.
    backings.removeValue(forKey: id)?.deallocate()
    noteWork()
  }

  /// RESOURCE_ATTACH_BACKING: the library keeps a list of the pages.
  public func attachBacking(_ segments: [UnsafeMutableRawBufferPointer], to id: ResourceID) throws(GPUError) {
    let vector = Self.vector(of: segments)
    let code = library.resource_attach_iov(Int32(bitPattern: id.rawValue), vector.baseAddress, Int32(vector.count))
    guard code == 0 else {
      vector.deallocate()
      throw .renderer("a backing (\(code))")
    }
    backings[id] = vector
  }

  /// A list of pages as the library has it.
  static func vector(of segments: [UnsafeMutableRawBufferPointer]) -> UnsafeMutableBufferPointer<iovec> {
    let vector = UnsafeMutableBufferPointer<iovec>.allocate(capacity: segments.count)
    for (index, segment) in segments.enumerated() {
      vector.initializeElement(at: index, to: iovec(iov_base: segment.baseAddress, iov_len: segment.count))
    }
    return vector
  }

  /// RESOURCE_DETACH_BACKING.
  public func detachBacking(of id: ResourceID) {
    library.resource_detach_iov(Int32(bitPattern: id.rawValue), nil, nil)
    backings.removeValue(forKey: id)?.deallocate()
  }

  // MARK: Transfers

  /// A blob's pages, which the library does not look for where it looks for a resource's.
  private func pages(of id: ResourceID) -> (UnsafeMutablePointer<iovec>?, Int) {
    guard blobs[id] != nil, let vector = backings[id] else { return (nil, 0) }
    return (vector.baseAddress, vector.count)
  }

  /// TRANSFER_TO_HOST_3D.
  public func transferToHost(_ transfer: Command.Transfer3D, in context: ContextID) throws(GPUError) {
    var box = muntin_virgl_box(transfer)
    let (vector, count) = pages(of: transfer.resource)
    let code = withUnsafeMutablePointer(to: &box) { box in
      library.transfer_write_iov(
        transfer.resource.rawValue, context.rawValue, Int32(bitPattern: transfer.level), transfer.stride,
        transfer.layerStride, OpaquePointer(box), transfer.offset, vector, UInt32(count))
    }
    try check(code, "a transfer to the host")
  }

  /// TRANSFER_FROM_HOST_3D.
  public func transferFromHost(_ transfer: Command.Transfer3D, in context: ContextID) throws(GPUError) {
    var box = muntin_virgl_box(transfer)
    let (vector, count) = pages(of: transfer.resource)
    let code = withUnsafeMutablePointer(to: &box) { box in
      library.transfer_read_iov(
        transfer.resource.rawValue, context.rawValue, transfer.level, transfer.stride, transfer.layerStride,
        OpaquePointer(box), transfer.offset, vector, Int32(count))
    }
    try check(code, "a transfer from the host")
  }

  /// Copies pixels in.
  public func writePixels(
    of id: ResourceID, _ rectangle: Rectangle, from source: UnsafeRawBufferPointer, stride: Int
  ) throws(GPUError) {
    var box = muntin_virgl_box(
      x: rectangle.x, y: rectangle.y, z: 0, width: rectangle.width, height: rectangle.height, depth: 1)
    // The library only reads it.
    var vector = iovec(iov_base: UnsafeMutableRawPointer(mutating: source.baseAddress), iov_len: source.count)
    let code = withUnsafeMutablePointer(to: &box) { box in
      library.transfer_write_iov(id.rawValue, 0, 0, UInt32(stride), 0, OpaquePointer(box), 0, &vector, 1)
    }
    try check(code, "writing pixels")
  }

  /// Copies pixels out.
  public func readPixels(
    of id: ResourceID, _ rectangle: Rectangle, into target: UnsafeMutableRawBufferPointer, stride: Int
  ) throws(GPUError) {
    var box = muntin_virgl_box(
      x: rectangle.x, y: rectangle.y, z: 0, width: rectangle.width, height: rectangle.height, depth: 1)
    var vector = iovec(iov_base: target.baseAddress, iov_len: target.count)
    let code = withUnsafeMutablePointer(to: &box) { box in
      library.transfer_read_iov(id.rawValue, 0, 0, UInt32(stride), 0, OpaquePointer(box), 0, &vector, 1)
    }
    try check(code, "reading pixels back")
  }
}

extension muntin_virgl_box {
  fileprivate init(_ transfer: Command.Transfer3D) {
    self.init(
      x: transfer.x, y: transfer.y, z: transfer.z, width: transfer.width, height: transfer.height, depth: transfer.depth
    )
  }
}
