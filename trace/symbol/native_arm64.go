package symbol

const native = arm64
