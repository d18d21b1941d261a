import GPUProtocol
import Geometry
import VirtioRing

/// Where the start-up code goes on: one processor, a stack, memory mapped as it is, no interrupts.
@_cdecl("guest_main")
func guestMain() {
  do throws(GuestError) {
    try drawOnFirstCard()
  } catch {
    Serial.write("muntin-bare: failed: ")
    Serial.write(error.text)
    Serial.write("\n")
  }
}

private func drawOnFirstCard() throws(GuestError) {
  #if arch(x86_64)
    if let transport = PCITransport.find(deviceID: gpuDeviceID) { return try draw(on: transport, named: "PCI") }
  #endif
  guard let transport = MMIOTransport.find(deviceID: gpuDeviceID) else { throw .noCard }
  try draw(on: transport, named: "MMIO")
}

private func draw(on transport: some Transport, named name: StaticString) throws(GuestError) {
  var card = try GPUDriver(transport)
  let picture = try drawPicture(&card)
  guard card.violationCount == 0 else { throw .ringViolated }
  Serial.write("muntin-bare: drawn ")
  Serial.write(picture.width)
  Serial.write("x")
  Serial.write(picture.height)
  Serial.write(card.isPacked ? " by a packed ring over " : " by a split ring over ")
  Serial.write(name)
  Serial.write("\n")
}

/// Shows a picture, and then changes a part of it as a window system would: only the part is sent.
private func drawPicture(_ card: inout GPUDriver<some Transport>) throws(GuestError) -> Size {
  let scanout = ScanoutID(rawValue: 0)
  let size = try card.preferredSize(of: scanout)
  let screen = try card.makeScreen(ResourceID(rawValue: 1), on: scanout, size: size)
  for y in 0..<size.height {
    for x in 0..<size.width { screen.set(x, y, pattern(x, y)) }
  }
  try card.show(Rectangle(size), of: screen)
  let part = Rectangle(x: 16, y: 8, width: 64, height: 32).intersection(Rectangle(size))
  for y in UInt32(part.y)..<UInt32(part.maxY) {
    for x in UInt32(part.x)..<UInt32(part.maxX) { screen.set(x, y, 0x00c0_ff40) }
  }
  try card.show(part, of: screen)
  return size
}

/// Column in red, row in green, the 256 x 256 tile in blue: any shifted or stale pixel is a wrong one.
private func pattern(_ x: UInt32, _ y: UInt32) -> UInt32 {
  let tile = 16 &* (x / 256) &+ y / 256 &+ 37
  return (x & 255) << 16 | (y & 255) << 8 | (tile & 255)
}
