import GPUDevice

/// What all channels of a card have in common about buffers: how many the VM's programs offer and hold.
final class SharingRoom {
  private let maximumExports: Int
  private let maximumImports: Int
  /// Offered, until nobody reads them.
  var exports = 0
  /// Acquired, until the guest has let go of them.
  var imports = 0
  /// Makes dma-bufs of the guest's pages.
  let dmaBufs = DMABufMaker()
  /// Pieces of other VMs' memory that are mapped here.
  let pieces = PieceCount()

  init(maximumExports: Int, maximumImports: Int) {
    self.maximumExports = maximumExports
    self.maximumImports = maximumImports
  }

  /// Why one more cannot be offered; nil: it can.
  var exportRefusal: String? {
    exports < maximumExports ? nil : "more than \(maximumExports) buffers of one VM's programs"
  }
  /// Why one more cannot be acquired; nil: it can.
  var importRefusal: String? {
    imports < maximumImports ? nil : "more than \(maximumImports) buffers of others in one VM's programs"
  }
}
