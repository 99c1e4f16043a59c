"""Each mistake in front of the model is tried at several levels, a second or more each: all of it is slow but for a core."""

import pytest

FRONT = ("test_places", "test_color", "test_values", "test_memory", "test_decode", "test_samples", "test_smaller")
# One or two of each family, and what must accuse nobody.
CORE = (
    "test_the_same_in_other_operations_is_no_fault[input]",
    "test_plain_plan[bgr-taps]",
    "test_plain_plan[bgr-input]",
    "test_plain_plan[no-division-taps]",
    "test_plain_plan[imagenet-input]",
    "test_images_of_the_inputs_size_show_no_padding",
    "test_plan_of_a_letterbox[black]",
    "test_plan_of_a_letterbox[stretch]",
    "test_sides_that_are_rounded_otherwise[cut-and-odd-first]",
    "test_plan_of_a_letterbox[height-for-width]",
    "test_an_input_that_is_not_square_with_its_sides_swapped[stretch]",
    "test_a_smaller_decode[reduced-2-taps]",
    "test_a_resize_in_two_steps[thumbnail-taps]",
    "test_a_plan_of_rgb_is_the_same_to_a_candidate_of_bgr",
    "test_pillows_jpegs_are_opencvs",
    "test_images_that_cannot_show_it_accuse_nobody",
    "test_a_wrong_decode[ignored]",
    "test_a_right_copy_is_no_fault",
    "test_a_tensor_of_the_right_shape[reshape-taps]",
    "test_plan_of_linear[area]",
    "test_plan_of_linear[pillow-bilinear]",
    "test_what_cannot_be_tried_is_said",
    "test_jpeg_decoders[options0-taps]",
    "test_other_colors[frame-taps]",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "diagnosis" and item.path.stem in FRONT and item.name not in CORE:
            item.add_marker(pytest.mark.slow)
