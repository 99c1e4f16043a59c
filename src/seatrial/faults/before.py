"""The mistakes in front of the model: decoding, where pixels go, and the tensor. Pure data."""

from __future__ import annotations

from seatrial.faults.fault import Fault

DECODING = (
    Fault(
        "exif",
        "pictures turned otherwise: EXIF orientation ignored",
        "decoded",
        "A photograph is stored as the sensor lay and carries a tag that says how to turn it; the decoder does not "
        "read the tag.",
        "Phone photographs reach the model lying on their side or upside down: few objects are found in them, and "
        "boxes of those lie in the wrong place; pictures without the tag are right, unless the code turns them all.",
        "cv2.imread(path) turns a JPEG, with IMREAD_UNCHANGED or IMREAD_IGNORE_ORIENTATION it does not; with Pillow, "
        "ImageOps.exif_transpose(image) behind Image.open; in a plan, decode.exif: apply.",
        "",
        "an EXIF orientation of 2 to 8",
        Fault(
            "exif",
            "every picture mirrored or turned",
            "decoded",
            "Each picture is flipped or turned, whatever its EXIF orientation says.",
            "Boxes lie on the wrong side, or turned about the picture's middle; classes that have a left and a right change "
            "places, and a model that was trained with flips hardly loses score.",
            "Take out the cv2.flip, cv2.rotate or transpose that stands behind the decoder (a selfie camera's mirror, a "
            "display's, or a training's augmentation that was left on).",
            "",
            "content that is not the same mirrored",
        ),
    ),
    Fault(
        "jpeg-decoder",
        "another JPEG decoder",
        "decoded",
        "The decoder uses a fast inverse DCT, repeats colour samples where the reference interpolates them (fancy "
        "upsampling), or decodes at a half, a quarter or an eighth of the size.",
        "Values differ by a few levels, most along coloured edges; scores move in the second digit, and objects near "
        "the threshold come and go. Pictures look the same.",
        "Decode with the library that the training used, or set its DCT to the exact one (libjpeg's JDCT_ISLOW, "
        "do_fancy_upsampling = TRUE), without cv2.IMREAD_REDUCED_COLOR_2 and Pillow's draft(), which thumbnail() calls; of a "
        "hardware decoder measure the loss, or train with its pictures.",
        "1.0 point of top-1 (ResNet-50)",
        "a JPEG with coloured edges, 4:2:0 for the upsampling",
    ),
    Fault(
        "yuv-range",
        "limited range taken for full range, or the reverse",
        "decoded",
        "Video has luma of 16 to 235; it is converted to RGB as if it were 0 to 255, or full-range frames as if they "
        "were limited.",
        "Blacks are grey and whites dull (or both are cut off): every picture has too little or too much contrast, by"
        " up to 20 levels.",
        "Name the range at the conversion: swscale's sws_setColorspaceDetails(srcRange), GStreamer's colorimetry "
        "caps; cv2.COLOR_YUV2BGR_NV12 takes limited range. The sensor's or the stream's own tag says which it is.",
        "up to 20/255",
        "black and white beside each other",
    ),
    Fault(
        "yuv-matrix",
        "BT.601 coefficients for BT.709 video, or the reverse",
        "decoded",
        "YUV is converted to RGB with another standard's coefficients than it was made with.",
        "Greens and reds are off by up to 20 levels while greys are right; classes that colour tells apart are "
        "confused.",
        "Name the matrix at the conversion (BT.709 for HD video, BT.601 for SD and JPEG); OpenCV's YUV2BGR codes are "
        "BT.601 always, so that HD needs swscale, NPP's 709 variants, or a 3 x 3 matrix of one's own.",
        "up to 20/255",
        "saturated colours",
    ),
    Fault(
        "chroma-subsampling",
        "colours stored at half their resolution on the way",
        "decoded",
        "Frames go through 4:2:0 (a video encoder, NV12 surfaces, a JPEG saved again) that the reference never went "
        "through.",
        "Coloured edges bleed by a pixel; small coloured objects (lights, signs) lose score.",
        "Keep RGB or 4:4:4 from the sensor to the model, or train through the same round trip; with Pillow, "
        "image.save(path, subsampling=0).",
        "0.1 to 0.2 points",
        "sharp edges between saturated colours",
    ),
    Fault(
        "alpha-or-depth",
        "alpha, grey or 16 bits decoded otherwise",
        "decoded",
        "Transparent pixels lie on another ground, a grey picture is read as colour (or a coloured one as grey), or "
        "16 bits are cut to the lower or the upper 8.",
        "Only some files are wrong: transparent logos stand on black, 16-bit pictures are dark or full of noise.",
        "cv2.imread's flags (IMREAD_COLOR, IMREAD_UNCHANGED), Pillow's image.convert('RGB') behind compositing; of 16"
        " bits value / 257. In a plan, decode.alpha, decode.sixteen_bit, decode.color.",
        "",
        "transparency, 16 bits or a single channel",
    ),
)

PLACES = (
    Fault(
        "antialias",
        "no antialiasing on a downscale",
        "resized",
        "The picture is made smaller by a filter that reads only its 2 x 2 or 4 x 4 nearest pixels, and skips those "
        "between.",
        "Fine texture turns into jagged edges and moiré; accuracy drops by about a point, more on large pictures.",
        "torchvision's Resize(antialias=True), F.interpolate(antialias=True), Pillow's resize; with OpenCV INTER_AREA"
        " for a downscale. In a plan, preprocess.interpolation: antialias_linear.",
        "68.9 against 69.8 %",
        "fine detail, at least twice as large as the input",
        Fault(
            "antialias",
            "antialiasing on a downscale that the reference does without",
            "resized",
            "The picture is made smaller by a filter that averages all pixels, where the reference reads only the nearest "
            "2 x 2 or 4 x 4.",
            "Fine texture is smoother than what the reference feeds; scores move, more on large pictures.",
            "cv2.resize with INTER_LINEAR or INTER_CUBIC, F.interpolate(antialias=False). In a plan, preprocess.interpolation: "
            "linear or cubic; if the model was trained with antialiasing, the reference is what should change.",
            "",
            "fine detail, at least twice as large as the input",
        ),
    ),
    Fault(
        "interpolation",
        "another library's resize, or another filter",
        "resized",
        "The picture is resized by another filter (nearest, linear, cubic, area) or another library than at training."
        " OpenCV's cv2.resize(image, size, cv2.INTER_AREA) is such a case: the third place is dst, and the resize "
        "silently linear. Or it is resized twice, as where a thumbnail is made first, or levels are left between whole ones.",
        "Values differ along edges; scores move, accuracy drops by up to a point, and nothing looks wrong.",
        "Name the argument, cv2.resize(image, size, interpolation=cv2.INTER_AREA), and take the training's library; "
        "in a plan, preprocess.interpolation.",
        "0.9 points of top-1 (ImageNet)",
        "fine detail at another size than the input's",
    ),
    Fault(
        "half-pixel",
        "half-pixel against aligned corners",
        "resized",
        "One side samples at (x + 0.5) * scale - 0.5, the other at x * scale, or with the corners aligned.",
        "Everything is shifted by up to half a pixel of the smaller grid, more towards one border: masks and boxes "
        "are off by a constant, seen most where a low resolution is drawn large.",
        "align_corners=False in F.interpolate and grid_sample; coordinate_transformation_mode: half_pixel on ONNX's "
        "Resize; TensorFlow's v1 resize has half_pixel_centers=False as its default.",
        "shifted masks",
        "sharp edges at another size than the input's",
    ),
    Fault(
        "resize-mode",
        "letterbox against stretch",
        "resized",
        "The model was trained on pictures that keep their aspect on a padded canvas, and gets them stretched (or the"
        " reverse, or a centre crop); or its new sides are rounded otherwise, or change places: cv2.resize and Pillow take "
        "width before height.",
        "Objects are too wide or too tall; scores drop, and the more so the less square the picture; with a crop, "
        "objects at the borders are never found.",
        "Ultralytics' LetterBox, or torchvision's Resize of both sides, as the training had it; in a plan, "
        "preprocess.mode.",
        "16 against 10 mAP",
        "another aspect than the input's",
    ),
    Fault(
        "crop-fraction",
        "another short side or crop fraction",
        "resized",
        "The short side is resized to another length before the centre is cropped: timm's crop_pct of 0.875, 0.9, "
        "0.95 or 1.",
        "Objects are a few percent larger or smaller; top-1 drops by tenths of a point.",
        "timm's resolve_data_config gives the model's own crop_pct: Resize(floor(size / crop_pct)), then "
        "CenterCrop(size); in a plan, preprocess.resize_short.",
        "87.46 against 87.39 %",
        "detail near the borders",
    ),
    Fault(
        "pad-value",
        "padded with another value",
        "resized",
        "The bars of a letterbox are black where the training had grey 114, or are filled in after normalisation with"
        " 0, which is the mean's colour.",
        "A hard edge where none was: false boxes along the bars, and lower scores near them.",
        "cv2.copyMakeBorder(…, value=(114, 114, 114)) before normalisation; in a plan, preprocess.pad_value.",
        "",
        "another aspect than the input's, so that there are bars",
    ),
    Fault(
        "pad-anchor",
        "padded at one side against both",
        "resized",
        "The picture lies in the upper left corner of the canvas, where the training (or the way back) has it in the "
        "middle.",
        "Boxes are off by half of the bar in one direction only, and right in square pictures.",
        "Pad by half on each side, or by all at the right and below, as the training does, and subtract the same on "
        "the way back; in a plan, preprocess.pad_anchor.",
        "",
        "another aspect than the input's, so that there are bars",
    ),
)

VALUES = (
    Fault(
        "channel-order",
        "BGR and RGB swapped",
        "input",
        "The model was trained on RGB and is fed OpenCV's BGR, or the reverse.",
        "Reds are blue: mAP or top-1 drops by some points, more in classes that colour tells apart; grey pictures are"
        " right.",
        "cv2.cvtColor(image, cv2.COLOR_BGR2RGB) once between cv2.imread and the tensor; in a plan, preprocess.color: "
        "rgb.",
        "47.6 against 44.2 mAP; about 10 % of top-1 (ResNet)",
        "saturated colours",
    ),
    Fault(
        "scale-missing",
        "the division by 255 is missing",
        "input",
        "The model was trained on 0 to 1 and is fed 0 to 255.",
        "Next to nothing is found, or everything with a score of 1: the model is saturated.",
        "image.astype(np.float32) / 255 (torchvision's ToTensor does so, torch.from_numpy does not); in a plan, "
        "preprocess.scale: 1/255.",
        "",
        "anything but black",
    ),
    Fault(
        "scale-doubled",
        "the division by 255 is made twice",
        "input",
        "Values of 0 to 1 are divided by 255 once more, as when ToTensor is followed by / 255 or the model divides by"
        " itself.",
        "All pictures are black to the model: the same few boxes, or the same class, for all of them.",
        "Leave out one of the two: ToTensor() divides already, and so do many exported models' first nodes; in a "
        "plan, preprocess.scale.",
        "",
        "anything but black",
    ),
    Fault(
        "scale-wrong",
        "divided by another number",
        "input",
        "Levels are divided by 256, 127.5 or 200 where the training divided by 255.",
        "Scores are a little off (256), or contrast is far too strong (127.5): accuracy drops by tenths to tens of "
        "points.",
        "Divide by 255.0, or take (x - 127.5) / 127.5 for -1 to 1, as the training did; in a plan, preprocess.scale.",
        "inputs 1.275 x as large (200 for 255)",
        "bright pixels",
    ),
    Fault(
        "mean-std",
        "another mean and standard deviation",
        "input",
        "Channels are normalised by another data set's numbers (ImageNet's, CLIP's, 0.5, Caffe's means), by none, or "
        "by those of the channels in the other order; or levels of 0 to 1 by numbers for 0 to 255.",
        "Contrast and tint are off for all pictures alike; a classifier loses up to a third of its accuracy.",
        "transforms.Normalize(mean, std) with the numbers of the model's card, in the tensor's own channel order; in "
        "a plan, preprocess.mean and preprocess.std.",
        "38 against 57 %",
        "any picture; saturated colours tell an order from other numbers",
    ),
    Fault(
        "normalise-order",
        "mean and std before the division by 255",
        "input",
        "(x - mean) / std with numbers for 0 to 1 is computed on levels of 0 to 255, and divided by 255 afterwards.",
        "The mean has no effect any more: pictures are too bright to the model, and accuracy drops by tens of points.",
        "First / 255, then - mean, then / std; or mean and std times 255 on levels; in a plan both are meant in the "
        "units behind preprocess.scale.",
        "24 points",
        "any picture, with a mean that is not 0",
    ),
    Fault(
        "layout-reshape",
        "reshaped where it should be transposed",
        "input",
        "HWC memory is given the shape (C, H, W) by reshape, or height and width change places: the shape fits, the "
        "pixels do not.",
        "The model sees three small copies of the picture in stripes: nothing is found, with no error.",
        "image.transpose(2, 0, 1) or tensor.permute(2, 0, 1), never reshape(3, h, w) or view; in a plan, "
        "preprocess.layout.",
        "garbage that has the right shape",
        "any picture that is not of one colour",
    ),
    Fault(
        "non-contiguous",
        "a view's memory handed over as if it were contiguous",
        "input",
        "image.transpose(…) or image[..., ::-1] are views with strides; a C++ or CUDA API reads the memory behind "
        "them in its own order.",
        "Garbage, or shifted colours, without an error: nothing is found.",
        "np.ascontiguousarray(view) before .ctypes, .data or a memcpy; tensor.contiguous() before .data_ptr().",
        "silent garbage",
        "any picture that is not of one colour",
    ),
)
