import GPUDevice

/// A card's cursor, beside the hub's `CursorState`: the module GPUDevice cannot be named where its class shadows it.
typealias CardCursor = CursorState
