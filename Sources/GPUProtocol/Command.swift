import Geometry

/// A decoded request, all of virtio 1.3, 5.7.6.7 and linux/virtio_gpu.h, offered or not.
///
/// Values are as the guest wrote them: nothing is checked but that all the bytes were there.
public enum Command: Hashable, Sendable {
  case getDisplayInfo
  case resourceCreate2D(ResourceID, format: UInt32, size: Size)
  case resourceUnref(ResourceID)
  case setScanout(ScanoutID, resource: ResourceID, source: Rectangle)
  case resourceFlush(ResourceID, Rectangle)
  case transferToHost2D(ResourceID, Rectangle, offset: UInt64)
  /// So many `MemoryEntry` follow.
  case resourceAttachBacking(ResourceID, entryCount: UInt32)
  case resourceDetachBacking(ResourceID)
  case getCapsetInfo(index: UInt32)
  case getCapset(id: UInt32, version: UInt32)
  case getEDID(ScanoutID)
  case resourceAssignUUID(ResourceID)
  case resourceCreateBlob(CreateBlob)
  case setScanoutBlob(SetScanoutBlob)
  case contextCreate(nameLength: UInt32, kind: UInt32)
  case contextDestroy
  case contextAttachResource(ResourceID)
  case contextDetachResource(ResourceID)
  case resourceCreate3D(Create3D)
  case transferToHost3D(Transfer3D)
  case transferFromHost3D(Transfer3D)
  /// So many bytes of commands follow, and then so many fences to wait for.
  case submit3D(byteCount: UInt32, fenceCount: UInt32)
  case resourceMapBlob(ResourceID, offset: UInt64)
  case resourceUnmapBlob(ResourceID)
  case updateCursor(CursorUpdate)
  case moveCursor(CursorUpdate)

  /// `struct virtio_gpu_resource_create_blob`; `entryCount` `MemoryEntry` follow.
  public struct CreateBlob: Hashable, Sendable {
    /// Which resource.
    public var resource: ResourceID
    /// `blob_mem`: where the bytes live.
    public var memory: UInt32
    /// Flags as on the wire.
    public var flags: UInt32
    /// How many entries follow.
    public var entryCount: UInt32
    /// What the context calls it.
    public var blob: UInt64
    /// Its length.
    public var byteCount: UInt64

    /// A blob by the command's fields.
    public init(
      resource: ResourceID, memory: UInt32, flags: UInt32, entryCount: UInt32, blob: UInt64, byteCount: UInt64
    ) {
      self.resource = resource
      self.memory = memory
      self.flags = flags
      self.entryCount = entryCount
      self.blob = blob
      self.byteCount = byteCount
    }
  }

  /// `struct virtio_gpu_set_scanout_blob`, of whose four planes the first is all that formats here need.
  public struct SetScanoutBlob: Hashable, Sendable {
    /// The part that is shown.
    public var source: Rectangle
    /// Which scanout.
    public var scanout: ScanoutID
    /// Which resource.
    public var resource: ResourceID
    /// Columns and rows.
    public var size: Size
    /// Pixel format, of the list that goes with the command.
    public var format: UInt32
    /// Bytes from row to row.
    public var stride: UInt32
    /// Bytes before the first pixel.
    public var offset: UInt32

    /// A scanout by the command's fields.
    public init(
      source: Rectangle, scanout: ScanoutID, resource: ResourceID, size: Size, format: UInt32, stride: UInt32,
      offset: UInt32
    ) {
      self.source = source
      self.scanout = scanout
      self.resource = resource
      self.size = size
      self.format = format
      self.stride = stride
      self.offset = offset
    }
  }

  /// `struct virtio_gpu_resource_create_3d`.
  public struct Create3D: Hashable, Sendable {
    /// Which resource.
    public var resource: ResourceID
    /// Kind of texture (gallium).
    public var target: UInt32
    /// Pixel format, of the list that goes with the command.
    public var format: UInt32
    /// Uses (gallium).
    public var bind: UInt32
    /// Columns and rows.
    public var size: Size
    /// Layers of depth.
    public var depth: UInt32
    /// Elements of an array.
    public var arraySize: UInt32
    /// Last level of detail.
    public var lastLevel: UInt32
    /// Samples of a pixel.
    public var sampleCount: UInt32
    /// Flags as on the wire.
    public var flags: UInt32

    /// A flat picture of one level, of no size and format yet.
    public init(resource: ResourceID) {
      self.resource = resource
      (target, format, bind) = (2, 0, 0)
      size = Size(width: 0, height: 0)
      (depth, arraySize, lastLevel, sampleCount, flags) = (1, 1, 0, 0, 0)
    }

    init(
      resource: ResourceID, target: UInt32, format: UInt32, bind: UInt32, size: Size, depth: UInt32, arraySize: UInt32,
      lastLevel: UInt32, sampleCount: UInt32, flags: UInt32
    ) {
      self.resource = resource
      (self.target, self.format, self.bind, self.size) = (target, format, bind, size)
      (self.depth, self.arraySize, self.lastLevel) = (depth, arraySize, lastLevel)
      (self.sampleCount, self.flags) = (sampleCount, flags)
    }
  }

  /// `struct virtio_gpu_transfer_host_3d`.
  public struct Transfer3D: Hashable, Sendable {
    /// The box's first corner.
    public var x: UInt32, y: UInt32, z: UInt32
    /// The box's extent.
    public var width: UInt32, height: UInt32, depth: UInt32
    /// Bytes before the first pixel.
    public var offset: UInt64
    /// Which resource.
    public var resource: ResourceID
    /// Level of detail.
    public var level: UInt32
    /// Bytes from row to row.
    public var stride: UInt32
    /// Bytes from layer to layer.
    public var layerStride: UInt32

    /// Nothing of a resource, yet.
    public init(resource: ResourceID) {
      self.resource = resource
      (x, y, z, width, height, depth) = (0, 0, 0, 0, 0, 0)
      (offset, level, stride, layerStride) = (0, 0, 0, 0)
    }

    init(
      x: UInt32, y: UInt32, z: UInt32, width: UInt32, height: UInt32, depth: UInt32, offset: UInt64,
      resource: ResourceID, level: UInt32, stride: UInt32, layerStride: UInt32
    ) {
      (self.x, self.y, self.z, self.width, self.height, self.depth) = (x, y, z, width, height, depth)
      (self.offset, self.resource, self.level, self.stride) = (offset, resource, level, stride)
      self.layerStride = layerStride
    }
  }

  /// `struct virtio_gpu_update_cursor`.
  public struct CursorUpdate: Hashable, Sendable {
    /// Which scanout.
    public var scanout: ScanoutID
    /// Column on the scanout.
    public var x: UInt32
    /// Row on the scanout.
    public var y: UInt32
    /// Which resource.
    public var resource: ResourceID
    /// Column of the pixel that points.
    public var hotX: UInt32
    /// Row of the pixel that points.
    public var hotY: UInt32

    /// A cursor's place and picture.
    public init(scanout: ScanoutID, x: UInt32, y: UInt32, resource: ResourceID, hotX: UInt32 = 0, hotY: UInt32 = 0) {
      self.scanout = scanout
      self.x = x
      self.y = y
      self.resource = resource
      self.hotX = hotX
      self.hotY = hotY
    }
  }

  /// The code on the wire.
  public var code: CommandCode {
    switch self {
    case .getDisplayInfo: .getDisplayInfo
    case .resourceCreate2D: .resourceCreate2D
    case .resourceUnref: .resourceUnref
    case .setScanout: .setScanout
    case .resourceFlush: .resourceFlush
    case .transferToHost2D: .transferToHost2D
    case .resourceAttachBacking: .resourceAttachBacking
    case .resourceDetachBacking: .resourceDetachBacking
    case .getCapsetInfo: .getCapsetInfo
    case .getCapset: .getCapset
    case .getEDID: .getEDID
    case .resourceAssignUUID: .resourceAssignUUID
    case .resourceCreateBlob: .resourceCreateBlob
    case .setScanoutBlob: .setScanoutBlob
    case .contextCreate: .contextCreate
    case .contextDestroy: .contextDestroy
    case .contextAttachResource: .contextAttachResource
    case .contextDetachResource: .contextDetachResource
    case .resourceCreate3D: .resourceCreate3D
    case .transferToHost3D: .transferToHost3D
    case .transferFromHost3D: .transferFromHost3D
    case .submit3D: .submit3D
    case .resourceMapBlob: .resourceMapBlob
    case .resourceUnmapBlob: .resourceUnmapBlob
    case .updateCursor: .updateCursor
    case .moveCursor: .moveCursor
    }
  }
}
