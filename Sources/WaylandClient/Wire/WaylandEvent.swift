/// The interfaces that a window needs, by their names in the protocol's descriptions.
enum WaylandInterface: String, Sendable {
  case display = "wl_display"
  case registry = "wl_registry"
  case callback = "wl_callback"
  case compositor = "wl_compositor"
  case sharedMemory = "wl_shm"
  case sharedMemoryPool = "wl_shm_pool"
  case buffer = "wl_buffer"
  case surface = "wl_surface"
  case windowManager = "xdg_wm_base"
  case windowSurface = "xdg_surface"
  case window = "xdg_toplevel"
  case dmabuf = "zwp_linux_dmabuf_v1"
  case dmabufParameters = "zwp_linux_buffer_params_v1"
}

/// What a compositor says to a client with one window.
enum WaylandEvent: Hashable, Sendable {
  /// wl_display.error: the connection ends.
  case error(object: UInt32, code: UInt32, reason: String)
  /// wl_display.delete_id: the number may be used again.
  case deleted(UInt32)
  /// wl_registry.global.
  case global(number: UInt32, interface: String, version: UInt32)
  /// wl_callback.done.
  case done
  /// wl_shm.format, as wl_shm counts formats.
  case sharedMemoryFormat(UInt32)
  /// wl_buffer.release: the compositor reads it no more.
  case released
  /// xdg_wm_base.ping.
  case ping(UInt32)
  /// xdg_surface.configure.
  case configured(UInt32)
  /// xdg_toplevel.close.
  case closed
  /// zwp_linux_dmabuf_v1.format.
  case dmabufFormat(UInt32)
  /// zwp_linux_dmabuf_v1.modifier.
  case dmabufModifier(format: UInt32, modifier: UInt64)
  /// zwp_linux_buffer_params_v1.created.
  case bufferCreated(UInt32)
  /// zwp_linux_buffer_params_v1.failed.
  case bufferFailed
  /// One that a window has no use for.
  case other
}

extension WaylandEvent {
  /// What a message to an object of that interface says. Every argument is read, so that none is there too many.
  static func decode(_ interface: WaylandInterface, _ message: WaylandMessage) throws(WaylandError) -> WaylandEvent {
    var reader = ArgumentReader(message.arguments)
    let event = try body(interface, message.opcode, &reader)
    if event != .other { try reader.finish() }
    return event
  }

  private static func body(
    _ interface: WaylandInterface, _ opcode: UInt16, _ reader: inout ArgumentReader
  ) throws(WaylandError) -> WaylandEvent {
    switch (interface, opcode) {
    case (.display, 0):
      return .error(object: try reader.word(), code: try reader.word(), reason: try reader.string() ?? "")
    case (.display, 1): return .deleted(try reader.word())
    case (.registry, 0):
      return .global(number: try reader.word(), interface: try reader.string() ?? "", version: try reader.word())
    case (.callback, 0): return try callback(&reader)
    case (.sharedMemory, 0): return .sharedMemoryFormat(try reader.word())
    case (.buffer, 0): return .released
    case (.windowManager, 0): return .ping(try reader.word())
    case (.windowSurface, 0): return .configured(try reader.word())
    case (.window, 1): return .closed
    case (.dmabuf, 0): return .dmabufFormat(try reader.word())
    case (.dmabuf, 1): return try modifier(&reader)
    case (.dmabufParameters, 0): return .bufferCreated(try reader.word())
    case (.dmabufParameters, 1): return .bufferFailed
    default: return .other
    }
  }

  private static func callback(_ reader: inout ArgumentReader) throws(WaylandError) -> WaylandEvent {
    _ = try reader.word()
    return .done
  }

  private static func modifier(_ reader: inout ArgumentReader) throws(WaylandError) -> WaylandEvent {
    let format = try reader.word()
    let high = try reader.word()
    return .dmabufModifier(format: format, modifier: UInt64(high) << 32 | UInt64(try reader.word()))
  }
}
