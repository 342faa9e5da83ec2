"""The model repository: its config parsed by protobuf, and held to the graph."""

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from mmspanet.errors import InputError
from mmspanet.runtime import triton
from mmspanet.runtime.session import open_session
from tests.runtime import graphs

FIELD = descriptor_pb2.FieldDescriptorProto


def model_config():
    """The part of Triton's ModelConfig that is written here, with its names and types.

    From model_config.proto of https://github.com/triton-inference-server/common.
    """
    file = descriptor_pb2.FileDescriptorProto(name='model_config.proto', package='inference')
    types = file.enum_type.add(name='DataType')
    names = (
        'INVALID BOOL UINT8 UINT16 UINT32 UINT64 INT8 INT16 INT32 INT64 FP16 FP32 FP64 STRING BF16'
    )
    for number, name in enumerate(names.split()):
        types.value.add(name=f'TYPE_{name}', number=number)

    def message(name, *fields):
        made = file.message_type.add(name=name)
        for number, (field, kind, label) in enumerate(fields, 1):
            is_builtin = isinstance(kind, int)
            named = FIELD.TYPE_ENUM if kind == 'DataType' else FIELD.TYPE_MESSAGE
            made.field.add(
                name=field, number=number, label=label, type=kind if is_builtin else named,
                type_name=None if is_builtin else f'.inference.{kind}',
            )  # fmt: skip

    one, many = FIELD.LABEL_OPTIONAL, FIELD.LABEL_REPEATED
    port = [('name', FIELD.TYPE_STRING, one), ('data_type', 'DataType', one),
            ('dims', FIELD.TYPE_INT64, many)]  # fmt: skip
    message('ModelInput', *port)
    message('ModelOutput', *port, ('label_filename', FIELD.TYPE_STRING, one))
    message('ModelDynamicBatching')
    message(
        'ModelConfig',
        ('name', FIELD.TYPE_STRING, one), ('backend', FIELD.TYPE_STRING, one),
        ('max_batch_size', FIELD.TYPE_INT32, one), ('input', 'ModelInput', many),
        ('output', 'ModelOutput', many), ('dynamic_batching', 'ModelDynamicBatching', one),
    )  # fmt: skip
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName('inference.ModelConfig'))()


CASES = [
    ('detection', {}),
    ('detection', dict(batch=1)),
    ('segmentation', dict(size=[64, 96])),
    ('classification', dict(size=[64, 96], batch=1)),
]


@pytest.mark.parametrize(('task', 'notes'), CASES)
def test_the_config_describes_the_graph(tmp_path, write, task, notes):
    path = write(task, **notes)
    folder = triton.write_repository(path, tmp_path / 'models', 'shapes', 8)
    config = text_format.Parse((folder / 'config.pbtxt').read_text(), model_config())
    assert (config.name, config.max_batch_size) == ('shapes', 0 if 'batch' in notes else 8)
    assert config.backend == ('onnxruntime' if path.suffix == '.onnx' else 'openvino')
    assert config.HasField('dynamic_batching') == (notes == dict(size=[64, 96]))
    session = open_session(folder / f'1/model{path.suffix}')
    names = config.DESCRIPTOR.file.enum_types_by_name['DataType'].values_by_number
    numpy_names = dict(TYPE_UINT8='uint8', TYPE_INT64='int64', TYPE_FP32='float32')
    for told, ports in ((config.input, session.inputs), (config.output, session.outputs)):
        assert {one.name: numpy_names[names[one.data_type].name] for one in told} == {
            name: port.dtype for name, port in ports.items()
        }
        for one in told:
            sides = [-1 if side is None else side for side in ports[one.name].shape]
            assert list(one.dims) == (sides if 'batch' in notes else sides[1:])


def test_the_names_of_the_classes_go_with_the_probabilities(tmp_path):
    path = graphs.classifier(tmp_path / 'a.onnx')
    folder = triton.write_repository(path, tmp_path / 'models', 'a', 8)
    config = text_format.Parse((folder / 'config.pbtxt').read_text(), model_config())
    assert (folder / config.output[0].label_filename).read_text().split() == list(graphs.NAMES)


def test_the_copied_graph_computes_the_same(tmp_path, write, picture):
    path = write('classification')
    folder = triton.write_repository(path, tmp_path / 'models', 'a', 8)
    feeds = dict(images=picture[None])
    copied = open_session(folder / f'1/model{path.suffix}').run(feeds)
    np.testing.assert_array_equal(
        copied['probabilities'], open_session(path).run(feeds)['probabilities']
    )


@pytest.mark.parametrize('name', ['', 'a b', '..', '../a', 'a"'])
def test_a_name_that_the_server_can_not_have(tmp_path, name):
    path = graphs.classifier(tmp_path / 'a.onnx')
    with pytest.raises(InputError, match='no name of a model'):
        triton.write_repository(path, tmp_path / 'models', name, 8)
